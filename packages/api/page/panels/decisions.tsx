import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import {
  type DecisionPoint,
  type Panel as PanelState,
  type Range,
  stepsOf,
  type WorkerState,
} from '../../src/dashboard/snapshot-shape.ts';
import { Chart } from '../chart.tsx';
import { rate } from '../format.ts';
import { Nothing, Panel } from '../panel.tsx';

interface DecisionsProps {
  readonly panel: PanelState<readonly DecisionPoint[]>;
  readonly range: Range;
  readonly nowMs: number;
  readonly worker: WorkerState;
  /** Only this tier's. */
  readonly tier: string | null;
}

/** Decisions a second, a chart a tier: admitted, refused, and what shadows would have refused. */
export function Decisions({ panel, range, nowMs, worker, tier: only }: DecisionsProps): JSX.Element {
  return (
    <Panel title="Decisions" about="A second, by tier. Times are those of your clock." panel={panel} wide>
      {(all) => {
        const points = all.filter(({ policy }) => only === null || policy === only);
        return points.length === 0 ? (
          <Nothing>
            No decision was counted in this time. The API counts its own; a service that imports the limiter counts with{' '}
            <code>recordDecisions: true</code>.
          </Nothing>
        ) : (
          <div class="tiers">
            {tiersOf(points).map((tier) => (
              <Tier key={tier} tier={tier} points={points} range={range} nowMs={nowMs} worker={worker} />
            ))}
          </div>
        );
      }}
    </Panel>
  );
}

function tiersOf(points: readonly DecisionPoint[]): readonly string[] {
  return [...new Set(points.map(({ policy }) => policy))];
}

interface TierProps {
  readonly tier: string;
  readonly points: readonly DecisionPoint[];
  readonly range: Range;
  readonly nowMs: number;
  readonly worker: WorkerState;
}

function Tier({ tier, points, range, nowMs, worker }: TierProps): JSX.Element {
  const { times, lines } = useMemo(() => {
    const steps = stepsOf(range, nowMs);
    const byTime = new Map(points.filter(({ policy }) => policy === tier).map((point) => [point.atMs, point]));
    // A step without a point is one without decisions, as long as a worker told of them.
    const until = worker.kind === 'gone' ? worker.sinceMs - range.stepMs : Number.POSITIVE_INFINITY;
    const values = (read: (point: DecisionPoint) => number): (number | null)[] =>
      steps.map((at) => {
        const point = byTime.get(at);
        return point === undefined ? (at > until ? null : 0) : read(point);
      });
    const shadow = values((point) => point.shadow);
    const drawn = [
      { name: 'allowed', color: '--allowed', values: values(({ allowed }) => allowed) },
      { name: 'blocked', color: '--blocked', values: values(({ blocked }) => blocked) },
      { name: 'shadow-blocked', color: '--shadow', values: shadow },
    ];
    return { times: steps, lines: shadow.some((value) => value !== null && value > 0) ? drawn : drawn.slice(0, 2) };
  }, [points, tier, range, worker.kind]);
  return (
    <figure>
      <figcaption>{tier}</figcaption>
      <Chart key={lines.length} label={`Decisions a second of ${tier}.`} times={times} lines={lines} format={rate} />
    </figure>
  );
}
