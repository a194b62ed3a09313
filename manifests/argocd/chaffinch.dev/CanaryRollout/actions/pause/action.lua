-- Asks the operator to pause; the resourceVersion makes each request new. The answer is in status.lastAction.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["chaffinch.dev/action"] = "pause@" .. obj.metadata.resourceVersion
return obj
