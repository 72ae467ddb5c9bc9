-- Sends the bodies of a file in turn (a line each), with a key of its own in place of KEY.
-- Arguments: a bearer token, the file, and what the keys begin with.

local bodies, prefix, sent = {}, "", 0

function init(args)
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  for line in io.lines(args[2]) do bodies[#bodies + 1] = line end
  prefix = args[3]
end

function request()
  sent = sent + 1
  local body = bodies[(sent - 1) % #bodies + 1]
  local from, to = string.find(body, "KEY", 1, true)
  if from then body = string.sub(body, 1, from - 1) .. prefix .. sent .. string.sub(body, to + 1) end
  return wrk.format("POST", nil, nil, body)
end
