-- Asks the operator to promote-force; the resourceVersion makes each request new. The answer is in status.lastAction.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["chaffinch.dev/action"] = "promote-force@" .. obj.metadata.resourceVersion
return obj
