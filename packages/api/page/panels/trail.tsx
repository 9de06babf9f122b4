import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import {
  type Panel as PanelState,
  type Range,
  stepsOf,
  type TrailState,
  workerOf,
  type GapState,
} from '../../src/dashboard/snapshot-shape.ts';
import { Chart } from '../chart.tsx';
import { count, duration, roughly } from '../format.ts';
import { Nothing, Panel, Away, type Column, Table } from '../panel.tsx';
import { useAsk, send } from '../ask.tsx';
import { type CsvColumns, isoTime } from '../csv.ts';

interface TrailProps {
  readonly panel: PanelState<TrailState>;
  readonly range: Range;
  readonly nowMs: number;
}

/** How far the audit trail is behind, and what it has lost. */
export function Trail({ panel, range, nowMs }: TrailProps): JSX.Element {
  return (
    <Panel title="Audit trail" about="How blocks and breaker events get from Redis into Postgres." panel={panel}>
      {(trail) =>
        trail.observedAtMs === null ? (
          <Nothing>No worker has reported yet. Is one running?</Nothing>
        ) : (
          <>
            {workerOf({ trail: panel, nowMs }).kind === 'gone' ? (
              <p class="bad">
                No worker has reported for {roughly(nowMs - trail.observedAtMs)}: these figures are old.
              </p>
            ) : null}
            <dl class="figures">
              <Figure name="Lag, median" value={trail.lagP50Ms} format={duration} none="nothing stored lately" />
              <Figure name="Lag, p99" value={trail.lagP99Ms} format={duration} none="nothing stored lately" />
              <Figure name="Oldest waiting" value={trail.oldestWaitingMs} format={duration} />
              <Figure name="Waiting in Redis" value={trail.backlog} />
              <Figure name="Jobs queued" value={trail.queueJobs} />
              <Figure name="Dropped" value={trail.dropped} bad />
              <Figure name="Dead letters" value={trail.deadLetters} bad />
              <Figure name="Missing" value={trail.missing} bad />
              <Figure name="Rows not written" value={trail.blocksCapped} bad />
            </dl>
            <Lag trail={trail} range={range} nowMs={nowMs} />
          </>
        )
      }
    </Panel>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: number | null;
  /** Anything but zero is trouble. */
  readonly bad?: boolean;
  readonly format?: (value: number) => string;
  /** What the absence of a value means. */
  readonly none?: string;
}

function Figure({ name, value, bad = false, format = count, none = 'not known' }: FigureProps): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd class={bad && value !== null && value > 0 ? 'bad' : ''}>{value === null ? none : format(value)}</dd>
    </div>
  );
}

function Lag({ trail, range, nowMs }: Omit<TrailProps, 'panel'> & { readonly trail: TrailState }): JSX.Element {
  const { times, lines } = useMemo(() => {
    const steps = stepsOf(range, nowMs);
    const byTime = new Map(trail.lag.map(({ atMs, max }) => [atMs, max]));
    const values = steps.map((at) => byTime.get(at) ?? null);
    return { times: steps, lines: [{ name: 'worst p99', color: '--lag', values }] };
  }, [trail, range]);
  return <Chart label="Lag from event to commit." times={times} lines={lines} format={duration} />;
}

interface GapsProps {
  readonly panel: PanelState<readonly GapState[]>;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

/** Gaps: events that the trail is known to lack, until they are resolved. */
export function Gaps({ panel, nowMs, mayChange }: GapsProps): JSX.Element {
  return (
    <Panel
      title="Gaps in the trail"
      about="Gaps that are not resolved, the newest first; 20 at most."
      panel={panel}
      wide
    >
      {(gaps) => (
        <Table
          label="Gaps in the trail"
          columns={columnsOf(nowMs, mayChange)}
          rows={gaps}
          keyOf={({ id }) => id}
          csv={csv}
          empty="No gap is open."
        />
      )}
    </Panel>
  );
}

function columnsOf(nowMs: number, mayChange: boolean): readonly Column<GapState>[] {
  const columns: readonly Column<GapState>[] = [
    { title: 'Kind', cell: ({ kind }) => <code>{kind}</code> },
    { title: 'Shard', number: true, cell: ({ shard }) => (shard === null ? '–' : String(shard)) },
    { title: 'Numbers', cell: numbersOf },
    {
      title: 'Found',
      cell: ({ detectedAtMs }) => <Away atMs={detectedAtMs} nowMs={nowMs} />,
    },
  ];
  return mayChange ? [...columns, { title: 'Change', buttons: true, cell: (gap) => <Resolve gap={gap} /> }] : columns;
}

const csv: CsvColumns<GapState> = {
  id: ({ id }) => id,
  kind: ({ kind }) => kind,
  shard: ({ shard }) => shard,
  from_number: ({ fromSeq }) => fromSeq,
  to_number: ({ toSeq }) => toSeq,
  found_at: ({ detectedAtMs }) => isoTime(detectedAtMs),
};

function numbersOf({ fromSeq, toSeq }: GapState): string {
  if (fromSeq === null || toSeq === null) return '–';
  return fromSeq === toSeq ? String(fromSeq) : `${fromSeq} to ${toSeq} (${count(toSeq - fromSeq + 1)})`;
}

/** Asks for the reason, which the trail keeps with the actor. */
function Resolve({ gap }: { readonly gap: GapState }): JSX.Element {
  const ask = useAsk();
  const { id, kind, shard } = gap;
  const name = `${kind}${shard === null ? '' : ` of shard ${shard}`}`;
  const question = {
    label: 'Resolve',
    text: `It was looked into, and counts for no alert any more: ${name}.`,
    done: `Resolved: ${name}. The table follows in a few seconds.`,
    fields: ['why'],
    act: async ({ why }: { readonly why: string }) =>
      why === ''
        ? ({ ok: false, status: 0, reason: 'Enter a reason: the trail keeps it.' } as const)
        : send('POST', `/v1/audit/gaps/${id}/resolve`, { note: why }),
  } as const;
  return (
    <button type="button" aria-label={`Resolve: ${name}`} onClick={() => ask(question)}>
      Resolve
    </button>
  );
}
