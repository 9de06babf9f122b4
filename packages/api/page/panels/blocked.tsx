import type { JSX } from 'preact';
import type { BlockedState, Panel as PanelState } from '../../src/dashboard/snapshot-shape.ts';
import { send } from '../api.ts';
import { useAsk } from '../ask.tsx';
import { count, relative } from '../format.ts';
import { Nothing, Panel } from '../panel.tsx';
import { type Column, Table } from '../table.tsx';

interface BlockedProps {
  readonly panel: PanelState<readonly BlockedState[]>;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

/** Who was blocked: running blocks first, then by how much was refused. */
export function Blocked({ panel, nowMs, mayChange }: BlockedProps): JSX.Element {
  return (
    <Panel
      title="Blocked subjects"
      about="Running blocks first, then by refused requests; the first 20."
      panel={panel}
      wide
    >
      {(subjects) =>
        subjects.length === 0 ? (
          <Nothing>Nobody was blocked in this time, and nobody is now.</Nothing>
        ) : (
          <Table label="Blocked subjects" columns={columnsOf(nowMs, mayChange)} rows={subjects} keyOf={keyOf} />
        )
      }
    </Panel>
  );
}

function keyOf({ identifier, tier, action, mode }: BlockedState): string {
  return JSON.stringify([identifier, tier, action, mode]);
}

function columnsOf(nowMs: number, mayChange: boolean): readonly Column<BlockedState>[] {
  const columns: readonly Column<BlockedState>[] = [
    { title: 'Subject', cell: ({ identifier }) => <Subject name={identifier} /> },
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
    cell: (subject) => (subject.active ? <Unblock subject={subject} /> : null),
  };
  return [...columns, unblock];
}

function Subject({ name }: { readonly name: string }): JSX.Element {
  return (
    <code class="long" title={name}>
      {name}
    </code>
  );
}

function Ends({ subject, nowMs }: { readonly subject: BlockedState; readonly nowMs: number }): JSX.Element {
  const { active, blockedUntilMs, mode } = subject;
  if (!active) return <span class="muted">over</span>;
  const text = blockedUntilMs === null ? 'no end set' : relative(blockedUntilMs, nowMs);
  return <span class={mode === 'enforce' ? 'blocked' : 'muted'}>{text}</span>;
}

function Unblock({ subject: { identifier, tier, action } }: { readonly subject: BlockedState }): JSX.Element {
  const ask = useAsk();
  const question = {
    label: 'Unblock',
    text: `${identifier} may do ${action} under ${tier} again, at once and in the whole fleet.`,
    done: `${identifier} is unblocked. The table follows in a few seconds.`,
    act: () => send('POST', `/v1/limits/${encodeURIComponent(tier)}/unblock`, { subject: identifier, action }),
  };
  return (
    <button type="button" aria-label={`Unblock ${identifier}, ${action} under ${tier}`} onClick={() => ask(question)}>
      Unblock
    </button>
  );
}
