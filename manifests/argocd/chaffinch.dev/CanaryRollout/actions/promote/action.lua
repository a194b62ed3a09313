-- Asks the operator to promote; the resourceVersion makes each request new. The answer is in status.lastAction.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["chaffinch.dev/action"] = "promote@" .. obj.metadata.resourceVersion
return obj
