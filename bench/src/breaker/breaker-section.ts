import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startRedis } from '@spillway/local-servers';
import { built } from '../built.ts';
import { type Goal, median, type Section, type Table } from '../section.ts';
import type { CallCost } from './one-process.ts';
import { healthy, type HealthyLoad, type TransitionCost, transitions } from './redis-load.ts';

/** Circuit breakers beside opossum and cockatiel, and what Redis has to do for them. */
export const breakerSection: Section = {
  name: 'breaker',
  title: 'Circuit breakers',
  async measure() {
    const server = await startRedis();
    try {
      const costs = await callCosts(server.url);
      const load = await healthy(server.url);
      const cost = await transitions(server.url);
      return { goals: goals(costs, load), tables: [callTable(costs), loadTable(load, cost)] };
    } finally {
      await server.stop();
    }
  },
};

function goals(costs: readonly CallCost[], { commandsPerThousandCalls }: HealthyLoad): readonly Goal[] {
  const peer = costs.find(({ name }) => name === 'cockatiel SamplingBreaker');
  const against = 1 / (peer?.nanosRatio ?? Number.NaN);
  const refusals = peer?.refusalRatio ?? Number.NaN;
  return [
    {
      name: "ns a call, against a peer's breaker that counts in a window",
      measured: against,
      bound: 1,
      better: 'less',
      unit: '×',
    },
    {
      name: "refusals/s, against a peer's breaker that counts in a window",
      measured: refusals,
      bound: 1,
      better: 'more',
      unit: '×',
    },
    {
      name: 'Redis commands per 1,000 healthy calls',
      measured: commandsPerThousandCalls,
      bound: 1,
      better: 'less',
      unit: '',
      noise: 1,
    },
  ];
}

function callTable(costs: readonly CallCost[]): Table {
  return {
    title: 'A call in this process',
    intro: `A function that returns at once, 20,000 calls a round through a closed breaker, one after the other and a hundred at a time; then 4,000 through an open one. Medians of 21 short rounds, in which the contenders take turns, forwards and backwards, and of ${PROCESSES} processes; ratios are medians of the rounds' own.`,
    columns: [
      { heading: 'breaker' },
      { heading: 'timeout' },
      { heading: 'ns a call', digits: 0 },
      { heading: 'Spillway is', digits: 1, unit: '×' },
      { heading: 'ns, 100 in flight', digits: 0 },
      { heading: 'refusals/s' },
    ],
    rows: costs.map(({ name, timeout, nanos, nanosInFlight, nanosRatio, refusalsPerSecond }) => [
      name,
      timeout,
      nanos,
      nanosRatio,
      nanosInFlight,
      Number.isNaN(refusalsPerSecond) ? '' : `${Math.round(refusalsPerSecond / 1000)}k`,
    ]),
    notes:
      'Only Spillway shares its state with other processes. Of the peers, opossum has a timeout by default and cockatiel adds one as a policy of its own; both make a timer for each call.',
    chart: { label: 0, value: 2 },
  };
}

function loadTable(load: HealthyLoad, cost: TransitionCost): Table {
  return {
    title: 'What Redis has to do',
    intro:
      'One process calls ten breakers, and all calls succeed. For the transitions, 200 breakers open by one failure each and close by one probe each, and a second instance in the same process waits to hear of it.',
    columns: [{ heading: 'what' }, { heading: 'measured' }],
    rows: [
      ['healthy calls a second', `${Math.round(load.callsPerSecond / 1000)}k`],
      ['Redis commands per 1,000 healthy calls', load.commandsPerThousandCalls.toFixed(2)],
      ['of them sent by the process', load.sentPerThousandCalls.toFixed(3)],
      ['Redis commands a second when idle', load.idleCommandsPerSecond.toFixed(1)],
      ['Redis commands a transition', cost.commandsPerTransition.toFixed(1)],
      ['Redis CPU µs a transition', cost.redisMicrosPerTransition.toFixed(0)],
      ['another instance refuses after, p50', `${cost.heardP50Ms.toFixed(1)} ms`],
      ['another instance refuses after, p99', `${cost.heardP99Ms.toFixed(1)} ms`],
    ],
    notes:
      'Commands are those that Redis counted, with those inside scripts, and include the heartbeats of all instances meanwhile.',
  };
}

const run = promisify(execFile);
const program = built('breaker/one-process.js');

/** Odd, so that a median is one of the processes. */
const PROCESSES = 7;

/**
 * What calls cost, as the median of several processes: what the compiler makes of the same code differs from process to
 * process by more than rounds do within one.
 */
async function callCosts(redisUrl: string): Promise<readonly CallCost[]> {
  const processes: (readonly CallCost[])[] = [];
  for (let index = 0; index < PROCESSES; index += 1) {
    const { stdout } = await run(process.execPath, [program, redisUrl]);
    processes.push(JSON.parse(stdout));
  }
  const [first = []] = processes;
  return first.map(({ name, timeout }, place) => {
    const over = (field: keyof CallCost): number =>
      median(processes.map((costs) => Number(costs[place]?.[field] ?? Number.NaN)));
    return {
      name,
      timeout,
      nanos: over('nanos'),
      nanosInFlight: over('nanosInFlight'),
      nanosRatio: over('nanosRatio'),
      refusalsPerSecond: over('refusalsPerSecond'),
      refusalRatio: over('refusalRatio'),
    };
  });
}
