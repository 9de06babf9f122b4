import type { JSX } from 'preact';
import type { Panel, Snapshot } from '../../snapshot.ts';
import { count, duration, rate } from '../format.ts';
import { type Range, stepsOf } from '../steps.ts';

interface PulseProps {
  readonly snapshot: Snapshot;
  readonly range: Range;
}

/** One figure of the strip. */
interface Beat {
  readonly name: string;
  /** Undefined: it can't be had. */
  readonly value: string | undefined;
  readonly note: string;
  readonly tone?: 'allowed' | 'blocked' | 'shadow' | 'bad' | undefined;
}

/** The strip on top: what somebody woken at night looks at first. */
export function Pulse({ snapshot, range }: PulseProps): JSX.Element {
  const beats = [...rates(snapshot, range), breakers(snapshot), blocks(snapshot), lag(snapshot), lost(snapshot)];
  return (
    <dl class="pulse wide" aria-label="At a glance">
      {beats.map(({ name, value, note, tone }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={tone ?? ''}>{value ?? '–'}</dd>
          <dd class="note">{value === undefined ? 'not known' : note}</dd>
        </div>
      ))}
    </dl>
  );
}

function dataOf<Data>(panel: Panel<Data>): Data | undefined {
  return panel.kind === 'ready' ? panel.data : undefined;
}

/** Of all tiers, in the last whole step. */
function rates({ decisions, nowMs }: Snapshot, range: Range): readonly Beat[] {
  const last = stepsOf(range, nowMs).at(-1);
  const points = dataOf(decisions)?.filter(({ atMs }) => atMs === last);
  const sum = (of: 'allowed' | 'blocked' | 'shadow'): number =>
    points?.reduce((total, point) => total + point[of], 0) ?? 0;
  const text = (value: number): string | undefined => (points === undefined ? undefined : rate(value));
  const [allowed, blocked, shadow] = [sum('allowed'), sum('blocked'), sum('shadow')];
  const all = allowed + blocked + shadow;
  const over = `a second, over ${duration(range.stepMs)}`;
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

function breakers({ breakers: panel }: Snapshot): Beat {
  const all = dataOf(panel);
  const not = all?.filter(({ state }) => state !== 'closed').length;
  return {
    name: 'Breakers not closed',
    value: not === undefined ? undefined : count(not),
    note: all?.length === 0 ? 'none known' : `of ${count(all?.length ?? 0)}`,
    tone: (not ?? 0) > 0 ? 'bad' : undefined,
  };
}

function blocks({ blocked }: Snapshot): Beat {
  const all = dataOf(blocked);
  const running = all?.filter(({ active, mode }) => active && mode === 'enforce').length;
  // The list ends somewhere: when all of it runs there may be more.
  const more = running !== undefined && running > 0 && running === all?.length && running % 20 === 0 ? '+' : '';
  return {
    name: 'Blocks running',
    value: running === undefined ? undefined : `${count(running)}${more}`,
    note: 'subjects refused now',
    tone: (running ?? 0) > 0 ? 'blocked' : undefined,
  };
}

function lag({ trail }: Snapshot): Beat {
  const ms = dataOf(trail)?.flushLagMs ?? undefined;
  return { name: 'Flush lag', value: ms === undefined ? undefined : duration(ms), note: 'from block to Postgres' };
}

function lost({ trail }: Snapshot): Beat {
  const data = dataOf(trail);
  const known = data !== undefined && data.observedAtMs !== null;
  const events = (data?.dropped ?? 0) + (data?.missing ?? 0) + (data?.deadLetters ?? 0);
  return {
    name: 'Events in trouble',
    value: known ? count(events) : undefined,
    note: 'dropped, missing, dead letters',
    tone: events > 0 ? 'bad' : undefined,
  };
}
