--- @include "includes/now.lua"
--- @include "includes/counters-start.lua"
local function rare()
--- @include "includes/judging.lua"
local function make_algorithm()
--- @include "algorithms/sliding-window.lua"
end
--- @include "includes/judge.lua"
--- @include "includes/decide-one.lua"
end
--- @include "lean/sliding-window.lua"
--- @include "includes/decide-counters.lua"
