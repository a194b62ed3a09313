-- Which actions make sense now; the operator checks again and answers in status.lastAction.

local status = obj.status or {}
local action = (status.lastDecision or {}).action
local reason = (status.lastDecision or {}).reason
local paused = reason == "PausedByUser" or reason == "PausedByAlert"

local judged = action == "Shift" or action == "Hold"
local inFlight = judged or action == "Start" or action == "Pause"
local held = action == "Wait" or action == "Rejected"
    or (action == "Promote" and reason == "PromotionInterrupted")

return {
  ["promote"] = { disabled = action ~= "Pause" or paused, displayName = "Promote: end this pause",
                  iconClass = "fa fa-fw fa-forward" },
  ["promote-force"] = { disabled = not (inFlight or (held and status.candidate ~= nil)),
                        displayName = "Promote by force: without evidence", iconClass = "fa fa-fw fa-fast-forward" },
  ["abort"] = { disabled = not inFlight, displayName = "Abort: roll back", iconClass = "fa fa-fw fa-undo" },
  ["retry"] = { disabled = action ~= "Rejected", displayName = "Retry the rejected candidate",
                iconClass = "fa fa-fw fa-redo" },
  ["pause"] = { disabled = not judged or paused, displayName = "Pause", iconClass = "fa fa-fw fa-pause" },
  ["resume"] = { disabled = not (inFlight and paused), displayName = "Resume", iconClass = "fa fa-fw fa-play" },
}
