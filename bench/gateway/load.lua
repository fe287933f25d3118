-- wrk's side: requests one after the other from a file, and what came of them as one line of JSON.
-- Arguments: the file (one request a line: path, a space, a token or "-"), and "count" to count answers by status.
local lines, position, counts = {}, 0, {}
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  for line in io.lines(args[1]) do
    local path, token = line:match("^(%S+) (%S+)$")
    local headers = { ["Host"] = "localhost" }
    if token ~= "-" then headers["Authorization"] = "Bearer " .. token end
    table.insert(lines, wrk.format("GET", path, headers))
  end
  length, asked, statuses = #lines, 0, ""
  if args[2] == "count" then
    response = function(status)
      counts[status] = (counts[status] or 0) + 1
      local found = {}
      for each, number in pairs(counts) do table.insert(found, '"' .. each .. '": ' .. number) end
      statuses = table.concat(found, ", ")
    end
  end
end

function request()
  asked = asked + 1
  position = position % length + 1
  return lines[position]
end

function done(summary, latency)
  local asked, statuses = 0, {}
  for _, thread in ipairs(threads) do
    asked = asked + thread:get("asked")
    if thread:get("statuses") ~= "" then table.insert(statuses, "{" .. thread:get("statuses") .. "}") end
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "asked": %d, "seconds": %.6f, "refused": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d, "statuses": [%s]}\n',
    summary.requests, asked, summary.duration / 1e6, errors.status, errors.connect, errors.read, errors.write, errors.timeout,
    table.concat(statuses, ", ")))
end
