-- Asks the operator to resume; the resourceVersion makes each request new. The answer is in status.lastAction.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["chaffinch.dev/action"] = "resume@" .. obj.metadata.resourceVersion
return obj
