-- Asks the operator to retry; the resourceVersion makes each request new. The answer is in status.lastAction.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["chaffinch.dev/action"] = "retry@" .. obj.metadata.resourceVersion
return obj
