import type { JSX } from 'preact';
import type { GapState, Panel as PanelState } from '../../src/dashboard/snapshot-shape.ts';
import { send } from '../api.ts';
import { useAsk } from '../ask.tsx';
import { type CsvColumns, isoTime } from '../csv.ts';
import { count } from '../format.ts';
import { Nothing, Panel } from '../panel.tsx';
import { type Column, Table } from '../table.tsx';
import { Away } from '../time.tsx';

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
      about="Those that nobody has resolved, the last found first; 20 at most."
      panel={panel}
      wide
    >
      {(gaps) =>
        gaps.length === 0 ? (
          <Nothing>No gap is open.</Nothing>
        ) : (
          <Table
            label="Gaps in the trail"
            columns={columnsOf(nowMs, mayChange)}
            rows={gaps}
            keyOf={({ id }) => id}
            csv={csv}
          />
        )
      }
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
