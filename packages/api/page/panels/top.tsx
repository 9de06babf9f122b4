import type { JSX } from 'preact';
import type {
  BlocksState,
  Panel as PanelState,
  RefusedState,
  UsersState,
  UserState,
} from '../../src/dashboard/snapshot-shape.ts';
import { type CsvColumns, isoTime } from '../csv.ts';
import { count, rate } from '../format.ts';
import { Panel, Away, type Column, Table, SubjectName } from '../panel.tsx';
import { Looked } from './blocked.tsx';

/** Who was refused most while blocked, all tiers and actions of the filter together. */
export function MostRefused({ panel }: { readonly panel: PanelState<BlocksState> }): JSX.Element {
  return (
    <Panel title="Top subjects by refusals" about="Requests refused while blocked; the first 20." panel={panel}>
      {({ refused, newestOnly }) => (
        <>
          <Looked newestOnly={newestOnly} />
          <Table
            label="Top subjects by refusals"
            columns={refusedColumns}
            rows={refused}
            keyOf={({ identifier }) => identifier}
            csv={refusedCsv}
            empty="No block refused a request in this time."
          />
        </>
      )}
    </Panel>
  );
}

const refusedColumns: readonly Column<RefusedState>[] = [
  { title: 'Subject', cell: ({ identifier }) => <SubjectName name={identifier} /> },
  { title: 'Refused', number: true, cell: ({ deniedCount }) => count(deniedCount) },
  { title: 'Blocks', number: true, cell: ({ blocks }) => count(blocks) },
  { title: 'Tiers', text: true, cell: ({ tiers }) => tiers.join(', ') },
];

const refusedCsv: CsvColumns<RefusedState> = {
  subject: ({ identifier }) => identifier,
  refused: ({ deniedCount }) => deniedCount,
  blocks: ({ blocks }) => blocks,
  tiers: ({ tiers }) => tiers.join(' '),
};

interface MostCallsProps {
  readonly panel: PanelState<UsersState>;
  readonly nowMs: number;
}

/** Who called most, by the application's own log. */
export function MostCalls({ panel, nowMs }: MostCallsProps): JSX.Element {
  return (
    <Panel
      title="Top subjects by use"
      about="Users by their calls in api_call_logs, whatever tier and action; the first 20, counted once a minute."
      panel={panel}
    >
      {({ users, calls, newestOnly }) => (
        <>
          {newestOnly === null ? null : (
            <p class="about looked">There are more calls: these are the newest {newestOnly.toLocaleString('en')}.</p>
          )}
          <Table
            label="Top subjects by use"
            columns={columnsOf(calls, nowMs)}
            rows={users}
            keyOf={({ user }) => user}
            csv={usersCsv}
            empty={
              <>
                No call of a user is in <code>api_call_logs</code> in this time.
              </>
            }
          />
        </>
      )}
    </Panel>
  );
}

function columnsOf(all: number, nowMs: number): readonly Column<UserState>[] {
  return [
    {
      title: 'User',
      cell: ({ user }) => (
        <code class="long" title={user}>
          {user}
        </code>
      ),
    },
    { title: 'Calls', number: true, cell: ({ calls }) => count(calls) },
    { title: 'Of all', number: true, cell: ({ calls }) => `${rate((100 * calls) / all)} %` },
    { title: 'Refused (429)', number: true, cell: ({ refused }) => count(refused) },
    { title: 'Last call', cell: ({ lastCallAtMs }) => <Away atMs={lastCallAtMs} nowMs={nowMs} /> },
  ];
}

const usersCsv: CsvColumns<UserState> = {
  user: ({ user }) => user,
  calls: ({ calls }) => calls,
  refused_429: ({ refused }) => refused,
  last_call_at: ({ lastCallAtMs }) => isoTime(lastCallAtMs),
};
