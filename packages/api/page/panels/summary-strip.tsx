import type { JSX } from 'preact';
import {
  type Panel,
  type Snapshot,
  type WorkerState,
  workerOf,
  type AlertState,
} from '../../src/dashboard/snapshot-shape.ts';
import { count, duration, rate, amount } from '../format.ts';
import { Since } from '../panel.tsx';

interface SummaryStripProps {
  readonly snapshot: Snapshot;
}

/** Why a figure is not available. */
const unknown: Partial<Record<WorkerState['kind'], string>> = {
  gone: 'no worker reports',
  never: 'no worker has reported',
};

/** One figure of the strip. */
interface Figure {
  readonly name: string;
  /** Undefined: not available. */
  readonly value: string | undefined;
  readonly note: string;
  readonly tone?: 'allowed' | 'blocked' | 'shadow' | 'bad' | undefined;
}

/** The strip on top: the figures that an operator on call needs first. */
export function SummaryStrip({ snapshot }: SummaryStripProps): JSX.Element {
  const worker = workerOf(snapshot);
  const figures = [
    ...rates(snapshot.rates, worker),
    breakers(snapshot),
    blocks(snapshot),
    lag(snapshot, worker),
    lost(snapshot, worker),
    capped(snapshot, worker),
  ];
  return (
    <dl class="summary-strip wide" aria-label="At a glance">
      {figures.map(({ name, value, note, tone }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={tone ?? ''}>{value ?? '–'}</dd>
          <dd class="note">{value === undefined ? (unknown[worker.kind] ?? 'not known') : note}</dd>
        </div>
      ))}
    </dl>
  );
}

function dataOf<Data>(panel: Panel<Data>): Data | undefined {
  return panel.kind === 'ready' ? panel.data : undefined;
}

/** Of all tiers, in the last minute. */
function rates(panel: Snapshot['rates'], worker: WorkerState): readonly Figure[] {
  const data = worker.kind === 'reporting' || worker.kind === 'unknown' ? dataOf(panel) : undefined;
  const { allowed = 0, blocked = 0, shadow = 0 } = data ?? {};
  const text = (value: number): string | undefined => (data === undefined ? undefined : rate(value));
  const all = allowed + blocked + shadow;
  const over = 'a second, in the last minute';
  return [
    { name: 'Allowed', value: text(allowed), note: over, tone: allowed > 0 ? 'allowed' : undefined },
    {
      name: 'Blocked',
      value: text(blocked),
      note: all === 0 ? over : `a second, ${rate((100 * blocked) / all)} % of all`,
      tone: blocked > 0 ? 'blocked' : undefined,
    },
    {
      name: 'Shadow-blocked',
      value: text(shadow),
      note: 'a second, let through',
      tone: shadow > 0 ? 'shadow' : undefined,
    },
  ];
}

function breakers({ breakers: panel }: Snapshot): Figure {
  const all = dataOf(panel)?.breakers;
  const not = all?.filter(({ state }) => state !== 'closed').length;
  return {
    name: 'Breakers not closed',
    value: not === undefined ? undefined : count(not),
    note: all?.length === 0 ? 'none known' : `of ${count(all?.length ?? 0)}`,
    tone: (not ?? 0) > 0 ? 'bad' : undefined,
  };
}

function blocks({ blocksRunning }: Snapshot): Figure {
  const running = dataOf(blocksRunning);
  return {
    name: 'Blocks running',
    value: running === undefined ? undefined : `${count(running.subjects)}${running.lastOnly === null ? '' : '+'}`,
    note: 'subjects refused now',
    tone: (running?.subjects ?? 0) > 0 ? 'blocked' : undefined,
  };
}

function lag({ trail }: Snapshot, worker: WorkerState): Figure {
  const ms = worker.kind === 'reporting' ? (dataOf(trail)?.lagP99Ms ?? undefined) : undefined;
  const idle = worker.kind === 'reporting' && dataOf(trail) !== undefined && ms === undefined;
  return {
    name: 'Trail lag, p99',
    value: idle ? 'idle' : ms === undefined ? undefined : duration(ms),
    note: idle ? 'nothing to store lately' : 'from event to Postgres',
  };
}

function lost({ trail }: Snapshot, worker: WorkerState): Figure {
  const data = dataOf(trail);
  const known = worker.kind === 'reporting';
  const events = (data?.dropped ?? 0) + (data?.missing ?? 0) + (data?.deadLetters ?? 0);
  return {
    name: 'Events in trouble',
    value: known ? count(events) : undefined,
    note: 'dropped, missing, dead letters',
    tone: events > 0 ? 'bad' : undefined,
  };
}

/** In a flood above the cap, blocks are counted and get no row: their subjects are not known. */
function capped({ trail }: Snapshot, worker: WorkerState): Figure {
  const value = worker.kind === 'reporting' ? dataOf(trail)?.blocksCapped : undefined;
  return {
    name: 'Block rows not written',
    value: value === undefined || value === null ? undefined : count(value),
    note: 'a flood above the cap, last 10 min',
    tone: (value ?? 0) > 0 ? 'bad' : undefined,
  };
}

interface AlertsProps {
  readonly panel: Panel<readonly AlertState[]>;
  readonly nowMs: number;
}

/** Thresholds that are crossed; nothing while all is well. Only a change of which ones is announced, not that time goes by. */
export function Alerts({ panel, nowMs }: AlertsProps): JSX.Element {
  const alerts = panel.kind === 'ready' ? panel.data : [];
  const names = alerts.map(({ rule }) => nameOf(rule)).join(', ');
  return (
    <>
      <p role="alert" class="hidden">
        {names === '' ? '' : `Alerts: ${names}`}
      </p>
      {panel.kind === 'failed' ? (
        <p class="alerts wide">Alerts can’t be shown: {panel.reason}</p>
      ) : alerts.length === 0 ? null : (
        <section class="alerts wide" aria-label="Alerts">
          <ul>
            {alerts.map(({ rule, value, threshold, side, unit, openedAtMs, runbook }) => (
              <li key={rule}>
                <strong>{nameOf(rule)}</strong> is {amount(value, unit)}, {side} {amount(threshold, unit)}, for{' '}
                <Since atMs={openedAtMs} nowMs={nowMs} />
                {runbook === null ? null : (
                  <>
                    {' · '}
                    <a
                      href={`/dashboard/runbooks#${encodeURIComponent(runbook)}`}
                      target="_blank"
                      rel="noopener"
                      aria-label={`Runbook: ${nameOf(rule)} (in a new tab)`}
                    >
                      Runbook
                    </a>
                  </>
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** `audit_dead_letters` → `Audit dead letters`. */
function nameOf(rule: string): string {
  const words = rule.replaceAll('_', ' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}
