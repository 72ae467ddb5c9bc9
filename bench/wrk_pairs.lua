-- Authorizes a payment, and captures each that was answered: the two bodies of a file, with a key of its own in place
-- of each KEY and the payment's id in place of PAYMENT. The first body's CUSTOMER is taken from the other lines in turn.
-- Arguments: a bearer token, the file, and what the keys begin with.

local authorize, capture, customers, authorized = nil, nil, {}, {}
local prefix, sent = "", 0

function init(args)
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  for line in io.lines(args[2]) do
    if not authorize then authorize = line elseif not capture then capture = line else customers[#customers + 1] = line end
  end
  prefix = args[3]
end

function request()
  sent = sent + 1
  local key, payment = prefix .. sent, table.remove(authorized)
  local body
  if payment then
    body = capture:gsub("KEY", key):gsub("PAYMENT", (payment:gsub("%%", "%%%%")))
  else
    body = authorize:gsub("KEY", key):gsub("CUSTOMER", customers[sent % #customers + 1])
  end
  return wrk.format("POST", nil, nil, body)
end

function response(status, headers, body)
  local payment = body:match('"authorizePayment":{"payment":{"id":"([^"]+)"')
  if payment then authorized[#authorized + 1] = payment end
end
