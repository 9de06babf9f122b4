import type { JSX } from 'preact';
import type { CapacityState, CountedState, Panel as PanelState } from '../../src/dashboard/snapshot-shape.ts';
import type { CsvColumns } from '../csv.ts';
import { count, relative } from '../format.ts';
import { Panel, type Column, Table } from '../panel.tsx';

/** What each plan is made for; a target of null is no number. */
const plans = [
  { name: 'Free tier', users: 100, generations: 500, connections: 60 },
  { name: 'Pro tier', users: 1_000, generations: 5_000, connections: 500 },
  { name: 'Scale target', users: 10_000, generations: 50_000, connections: null, atLeast: true },
] as const;

interface Measure {
  readonly name: string;
  /** Null: not counted yet. */
  readonly now: number | null;
  readonly of: 'users' | 'generations' | 'connections';
}

interface CapacityProps {
  readonly panel: PanelState<CapacityState>;
  readonly nowMs: number;
}

/** How much of each plan is used now. */
export function Capacity({ panel, nowMs }: CapacityProps): JSX.Element {
  return (
    <Panel title="Capacity" about="Now, and how much that is of what each plan is made for." panel={panel}>
      {({ users, generationsPerHour, connections, maxConnections }) => (
        <>
          <Table
            label="Capacity"
            columns={columns}
            rows={[
              { name: 'Concurrent users', now: users?.value ?? null, of: 'users' },
              { name: 'Generations/hour', now: generationsPerHour?.value ?? null, of: 'generations' },
              { name: 'DB connections', now: connections, of: 'connections' },
            ]}
            keyOf={({ name }) => name}
            csv={csv}
          />
          <p class="about">
            Users with a call in <code>api_call_logs</code> within five minutes, {counted(users, nowMs)}. Generations{' '}
            {counted(generationsPerHour, nowMs)}. This database allows {count(maxConnections)} connections.
          </p>
        </>
      )}
    </Panel>
  );
}

function counted(figure: CountedState | null, nowMs: number): string {
  return figure === null ? 'not counted yet by a worker' : `counted ${relative(figure.atMs, nowMs)}`;
}

const columns: readonly Column<Measure>[] = [
  { title: 'Metric', cell: ({ name }) => name },
  { title: 'Now', number: true, cell: ({ now }) => <b>{now === null ? '–' : count(now)}</b> },
  ...plans.map((plan): Column<Measure> => ({
    title: plan.name,
    number: true,
    cell: ({ now, of }) => <Share now={now} target={plan[of]} atLeast={'atLeast' in plan} />,
  })),
];

const csv: CsvColumns<Measure> = {
  metric: ({ name }) => name,
  now: ({ now }) => now,
  ...Object.fromEntries(
    plans.map((plan) => [plan.name.toLowerCase().replaceAll(' ', '_'), ({ of }: Measure) => plan[of]]),
  ),
};

interface ShareProps {
  readonly now: number | null;
  readonly target: number | null;
  readonly atLeast: boolean;
}

/** A target with a bar of how much of it is used; past it the bar is full and red. */
function Share({ now, target, atLeast }: ShareProps): JSX.Element {
  if (target === null) return <span class="muted">pooled</span>;
  const percent = now === null ? 0 : Math.round((100 * now) / target);
  return (
    <span class={percent > 100 ? 'share over' : 'share'}>
      {target.toLocaleString('en')}
      {atLeast ? '+ ' : ' '}
      <small>{now === null ? '–' : `${percent.toLocaleString('en')} %`}</small>
      <span class="bar" style={`--share: ${Math.min(100, percent)}%`} />
    </span>
  );
}
