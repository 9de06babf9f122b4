import type { ComponentChildren, JSX } from 'preact';
import type { BreakersState, BreakerState, Panel as PanelState } from '../../src/dashboard/snapshot-shape.ts';
import { type Question, useAsk, send } from '../ask.tsx';
import { type CsvColumns, isoTime } from '../csv.ts';
import { count, rate } from '../format.ts';
import { Panel, Away, Since, type Column, Table, useOpen } from '../panel.tsx';

interface BreakersProps {
  readonly panel: PanelState<BreakersState>;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

/** Every breaker that had an event: its state, its failures, and what can be done about it. */
export function Breakers({ panel, nowMs, mayChange }: BreakersProps): JSX.Element {
  return (
    <Panel
      title="Circuit breakers"
      about="Those that are not closed first. Failures and openings are of the time range; a name opens its history."
      panel={panel}
      wide
    >
      {({ breakers, newestOnly }) => (
        <>
          <Table
            label="Circuit breakers"
            columns={columnsOf(nowMs, mayChange)}
            rows={breakers}
            keyOf={({ preset, breakerName }) => JSON.stringify([preset, breakerName])}
            csv={csv}
            empty="No breaker has seen a failure or been moved yet."
          />
          {newestOnly !== null && (
            <p class="about looked">
              {`There are more events: failures and openings are of the newest ${newestOnly.toLocaleString('en')} of the time range.`}
            </p>
          )}
        </>
      )}
    </Panel>
  );
}

function columnsOf(nowMs: number, mayChange: boolean): readonly Column<BreakerState>[] {
  const columns: readonly Column<BreakerState>[] = [
    {
      title: 'Breaker',
      cell: (breaker) => <Name breaker={breaker} />,
    },
    { title: 'State', cell: (breaker) => <State breaker={breaker} nowMs={nowMs} /> },
    { title: 'Next probe', cell: (breaker) => nextProbe(breaker, nowMs) },
    { title: 'Failures', number: true, cell: ({ failures }) => count(failures) },
    { title: 'Per minute', number: true, cell: ({ failuresPerMinute }) => rate(failuresPerMinute) },
    { title: 'Openings', number: true, cell: ({ openings }) => count(openings) },
    { title: 'Cause', text: true, cell: (breaker) => <Cause breaker={breaker} /> },
  ];
  if (!mayChange) return columns;
  return [...columns, { title: 'Change', buttons: true, cell: (breaker) => <Choices breaker={breaker} /> }];
}

const csv: CsvColumns<BreakerState> = {
  breaker: ({ breakerName }) => breakerName,
  preset: ({ preset }) => preset,
  state: ({ state }) => state,
  since: ({ sinceMs }) => isoTime(sinceMs),
  until: ({ untilMs }) => isoTime(untilMs),
  reason: ({ reason }) => reason,
  failures: ({ failures }) => failures,
  openings: ({ openings }) => openings,
  last_error: ({ lastError }) => lastError,
  forced_by: ({ who }) => who,
  why: ({ why }) => why,
};

/** Opens what happened to it. */
function Name({ breaker: { breakerName, preset } }: OfOne): JSX.Element {
  const { openBreaker } = useOpen();
  return (
    <>
      <button
        type="button"
        class="link"
        aria-label={`History: ${breakerName}, ${preset}`}
        title="History"
        onClick={() => openBreaker({ breakerName, preset })}
      >
        {breakerName}
      </button>{' '}
      <span class="tag">{preset}</span>
    </>
  );
}

function State({
  breaker: { state, sinceMs },
  nowMs,
}: Omit<BreakersProps, 'panel' | 'mayChange'> & OfOne): JSX.Element {
  return (
    <>
      <span class={`state ${state}`}>{state.replace('_', ' ')}</span>
      {sinceMs === null ? null : (
        <small>
          {' '}
          for <Since atMs={sinceMs} nowMs={nowMs} />
        </small>
      )}
    </>
  );
}

interface OfOne {
  readonly breaker: BreakerState;
}

function nextProbe({ state, untilMs }: BreakerState, nowMs: number): ComponentChildren {
  switch (state) {
    case 'open':
      return untilMs === null ? (
        'not known'
      ) : untilMs <= nowMs ? (
        'with the next call'
      ) : (
        <Away atMs={untilMs} nowMs={nowMs} />
      );
    case 'half_open':
      return 'probing now';
    case 'forced_open':
    case 'forced_closed':
      return untilMs === null ? (
        'forced, no end set'
      ) : (
        <>
          forced, ends <Away atMs={untilMs} nowMs={nowMs} />
        </>
      );
    default:
      return '–';
  }
}

/** For a forced state: actor and reason; for any other: the last error. */
function Cause({ breaker: { state, who, why, lastError } }: OfOne): JSX.Element {
  const isForced = state === 'forced_open' || state === 'forced_closed';
  const text = isForced ? `${why ?? 'no reason given'}${who === null ? '' : ` (${who})`}` : (lastError ?? '–');
  return (
    <span class="long" title={text}>
      {text}
    </span>
  );
}

/** What can be done: forcing asks for a reason, and giving back to automatic ends it. */
function Choices({ breaker }: OfOne): JSX.Element {
  const ask = useAsk();
  const { breakerName, preset, state } = breaker;
  const button = (mode: keyof typeof questions): JSX.Element => {
    const { label } = questions[mode];
    const name = `${label}: ${breakerName}, ${preset}`;
    return (
      <button key={mode} type="button" aria-label={name} onClick={() => ask(questionOf(breaker, mode))}>
        {label}
      </button>
    );
  };
  return (
    <>
      {state === 'forced_open' ? null : button('forced_open')}
      {state === 'forced_closed' ? null : button('forced_closed')}
      {state === 'closed' ? null : button('auto')}
    </>
  );
}

const questions = {
  forced_open: { label: 'Force open', what: 'Every call is refused, in the whole fleet:', fields: ['why', 'forMs'] },
  forced_closed: {
    label: 'Force closed',
    what: 'Every call is let through, whatever fails:',
    fields: ['why', 'forMs'],
  },
  auto: { label: 'Automatic', what: 'It closes, and decides by itself again:', fields: ['why'] },
} as const;

function questionOf({ breakerName, preset }: BreakerState, mode: keyof typeof questions): Question {
  const { label, what, fields } = questions[mode];
  return {
    label,
    text: `${what} ${breakerName} (${preset}).`,
    done: `${label}: ${breakerName} has it. The table follows in a few seconds.`,
    danger: mode !== 'auto',
    fields,
    act: ({ why, forMs }) =>
      send('PUT', `/v1/breakers/${encodeURIComponent(breakerName)}?preset=${encodeURIComponent(preset)}`, {
        mode,
        ...(why === '' ? {} : { why }),
        ...(forMs === undefined ? {} : { forMs }),
      }),
  };
}
