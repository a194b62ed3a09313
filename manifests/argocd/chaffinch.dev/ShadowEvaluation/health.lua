-- Health of a ShadowEvaluation for Argo CD. Lua 5.1 with the libraries base and table only: no string.*, no os.*.
-- Order: seen at all, this generation seen, stalled, rejected, ready, else in progress.

local function condition(status, type)
  for _, c in ipairs(status.conditions or {}) do
    if c.type == type then
      return c
    end
  end
  return {}
end

local function health(status, message)
  return { status = status, message = message or "" }
end

local status = obj.status
if type(status) ~= "table" or status.observedGeneration == nil then
  return health("Progressing", "Waiting for the operator to see this ShadowEvaluation")
end
local generation = obj.metadata and obj.metadata.generation
if generation ~= nil and status.observedGeneration ~= generation then
  return health("Progressing", "Waiting for the operator to see the latest change")
end

local ready = condition(status, "Ready")
local stalled = condition(status, "Stalled")
if stalled.status == "True" then
  return health("Degraded", stalled.message)
end
if ready.status == "True" and status.verdict == "Reject" then
  return health("Degraded", ready.message)
end
if ready.status == "True" then
  return health("Healthy", ready.message)
end
return health("Progressing", ready.message)
