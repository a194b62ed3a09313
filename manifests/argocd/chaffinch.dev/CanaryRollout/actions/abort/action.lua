-- Asks the operator to abort; the resourceVersion makes each request new. The answer is in status.lastAction.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["chaffinch.dev/action"] = "abort@" .. obj.metadata.resourceVersion
return obj
