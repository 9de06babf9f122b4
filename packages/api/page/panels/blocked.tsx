import type { JSX } from 'preact';
import type { BlockedState, BlocksState, Panel as PanelState, TrailState } from '../../src/dashboard/snapshot-shape.ts';
import { ChangeButton } from '../change-button.tsx';
import { type CsvColumns, isoTime } from '../csv.ts';
import { count } from '../format.ts';
import { Panel, Away, type Column, Table, SubjectName } from '../panel.tsx';

interface BlockedProps {
  readonly panel: PanelState<BlocksState>;
  /** Whether some blocks have no row. */
  readonly trail: PanelState<TrailState>;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

/** Who was blocked: running blocks first, then by how much was refused. */
export function Blocked({ panel, trail, nowMs, mayChange }: BlockedProps): JSX.Element {
  return (
    <Panel
      title="Blocked subjects"
      about="Running blocks first, then by refused requests; the first 20."
      panel={panel}
      wide
    >
      {({ blocked, newestOnly }) => (
        <>
          <Looked newestOnly={newestOnly} capped={trail.kind === 'ready' ? trail.data.blocksCapped : null} />
          <Table
            label="Blocked subjects"
            columns={columnsOf(nowMs, mayChange)}
            rows={blocked}
            keyOf={keyOf}
            csv={csv}
            empty="Nobody was blocked in this time, and nobody is now."
          />
        </>
      )}
    </Panel>
  );
}

interface LookedProps {
  readonly newestOnly: number | null;
  readonly capped?: number | null;
}

/** Says that there is more than what was looked at, if there is. */
export function Looked({ newestOnly, capped = null }: LookedProps): JSX.Element | null {
  const limits = [
    ...(newestOnly === null
      ? []
      : [
          `There are more blocks: these figures are of the newest ${newestOnly.toLocaleString('en')} of the time range and the ` +
            `${newestOnly.toLocaleString('en')} running ones that end last.`,
        ]),
    ...(capped === null || capped === 0
      ? []
      : [`${capped.toLocaleString('en')} blocks of the last 10 minutes have no row, so their subjects are not known.`]),
  ];
  return limits.length === 0 ? null : <p class="about looked">{limits.join(' ')}</p>;
}

const csv: CsvColumns<BlockedState> = {
  subject: ({ identifier }) => identifier,
  tier: ({ tier }) => tier,
  action: ({ action }) => action,
  mode: ({ mode }) => mode,
  blocks: ({ blocks }) => blocks,
  refused: ({ deniedCount }) => deniedCount,
  running: ({ active }) => active,
  // Empty: without an end.
  blocked_until: ({ blockedUntilMs }) => isoTime(blockedUntilMs),
};

function keyOf({ identifier, tier, action, mode }: BlockedState): string {
  return JSON.stringify([identifier, tier, action, mode]);
}

function columnsOf(nowMs: number, mayChange: boolean): readonly Column<BlockedState>[] {
  const columns: readonly Column<BlockedState>[] = [
    { title: 'Subject', cell: ({ identifier }) => <SubjectName name={identifier} /> },
    {
      title: 'Tier',
      cell: ({ tier, mode }) => (
        <>
          {tier} {mode === 'shadow' ? <span class="tag">shadow</span> : null}
        </>
      ),
    },
    { title: 'Action', cell: ({ action }) => action },
    { title: 'Blocks', number: true, cell: ({ blocks }) => count(blocks) },
    { title: 'Refused', number: true, cell: ({ deniedCount }) => count(deniedCount) },
    { title: 'Ends', cell: (subject) => <Ends subject={subject} nowMs={nowMs} /> },
  ];
  if (!mayChange) return columns;
  const unblock: Column<BlockedState> = {
    title: 'Change',
    buttons: true,
    cell: ({ active, identifier, tier, action }) =>
      active ? <ChangeButton subject={identifier} kind="unblock" place={{ policy: tier, action }} /> : null,
  };
  return [...columns, unblock];
}

function Ends({ subject, nowMs }: { readonly subject: BlockedState; readonly nowMs: number }): JSX.Element {
  const { active, blockedUntilMs, mode } = subject;
  if (!active) return <span class="muted">over</span>;
  return (
    <span class={mode === 'enforce' ? 'blocked' : 'muted'}>
      {blockedUntilMs === null ? 'no end set' : <Away atMs={blockedUntilMs} nowMs={nowMs} />}
    </span>
  );
}
