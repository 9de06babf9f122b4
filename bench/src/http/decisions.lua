-- Asks for decisions about 10,000 subjects, one a request or several at once; answers other than 200 are counted. The script's
-- arguments are the key and how many a request.
local requests, index = {}, 0
wrong = 0 -- global: read by done() from another state

function init(args)
  math.randomseed(42)
  local headers = { ['Authorization'] = 'Bearer ' .. args[1], ['Content-Type'] = 'application/json' }
  local many = tonumber(args[2])
  for place = 1, 10000 / many do
    local each = {}
    for one = 1, many do each[one] = '{"subject":"user-' .. math.random(10000) .. '"}' end
    local body = many == 1 and each[1] or '{"requests":[' .. table.concat(each, ',') .. ']}'
    requests[place] = wrk.format('POST', nil, headers, body)
  end
end

function request()
  index = index % #requests + 1
  return requests[index]
end

function response(status)
  if status ~= 200 then wrong = wrong + 1 end
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + (thread:get('wrong') or 0) end
  print('wrong answers: ' .. sum)
  print('p99 us: ' .. latency:percentile(99))
end
