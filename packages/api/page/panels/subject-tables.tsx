import type { JSX } from 'preact';
import { type CsvColumns, isoTime } from '../csv.ts';
import { count, duration } from '../format.ts';
import { Away, Moment, type Column, Table } from '../panel.tsx';
import { ChangeButton } from '../change-button.tsx';

/** What `POST /v1/subjects/look-up` answers. */
export interface LookUp {
  readonly subject: string;
  readonly windows: readonly SubjectWindow[];
  readonly windowsLeftOut: number;
  readonly blocks: readonly SubjectBlock[];
  readonly moreBlocks: boolean;
  readonly overrides: readonly SubjectOverride[];
  readonly allowed: readonly string[];
  readonly denied: readonly string[];
  readonly blockedEverywhereUntilMs?: number | null;
}

interface SubjectWindow {
  readonly policy: string;
  readonly action: string;
  readonly mode: string;
  readonly allowed: boolean;
  readonly reason: string;
  readonly limit: number;
  readonly remaining: number;
  /** Null = never. */
  readonly resetAfterMs: number | null;
  readonly retryAfterMs: number | null;
  /** Absent: no block is active; null: it has no end. */
  readonly blockedUntilMs?: number | null;
}

interface SubjectBlock {
  readonly id: string;
  readonly tier: string;
  readonly action: string;
  readonly mode: string;
  readonly deniedCount: number;
  readonly createdAtMs: number;
  readonly blockedUntilMs: number | null;
}

interface SubjectOverride {
  readonly policy: string;
  readonly subject: string;
  readonly limit?: number;
  readonly windowMs?: number;
  readonly blockMs?: number;
  readonly mode?: string;
}

interface SubjectTablesProps {
  readonly found: LookUp;
  readonly nowMs: number;
  /** Undefined: the key may only read. */
  readonly onChanged: (() => void) | undefined;
}

/** The windows, overrides and blocks of a subject. */
export function SubjectTables({ found, nowMs, onChanged }: SubjectTablesProps): JSX.Element {
  const used = found.windows.filter(({ reason, limit, remaining }) => reason !== 'allowed' || remaining < limit);
  const unused = found.windows.length - used.length;
  return (
    <>
      <h3>Windows</h3>
      {used.length === 0 ? null : (
        <Table
          label="Windows of the subject"
          columns={windowColumns(found, onChanged)}
          rows={used}
          keyOf={({ policy, action }) => JSON.stringify([policy, action])}
          csv={windowCsv}
        />
      )}
      <p class="about">
        {used.length === 0 ? `Nothing is used in ${count(unused)} windows` : `Nothing is used in ${count(unused)} more`}
        : every policy with its default action, the action asked for, and those with a recent block.
        {found.windowsLeftOut > 0 ? ` ${count(found.windowsLeftOut)} more were not looked at.` : ''}
      </p>
      <h3>Overrides</h3>
      <Table
        label="Overrides of the subject"
        columns={overrideColumns}
        rows={found.overrides}
        keyOf={({ policy, subject }) => JSON.stringify([policy, subject])}
        csv={overrideCsv}
        empty="None fits this subject."
      />
      <h3>Blocks</h3>
      <Table
        label="Blocks of the subject"
        columns={blockColumns(nowMs)}
        rows={found.blocks}
        keyOf={({ id }) => id}
        csv={blockCsv}
        empty="It was never blocked, as far as the trail reaches back."
      />
      {found.moreBlocks ? (
        <p class="about">These are the newest {count(found.blocks.length)}; there are older ones.</p>
      ) : null}
    </>
  );
}

function windowColumns(
  { subject, blockedEverywhereUntilMs }: LookUp,
  onChanged: (() => void) | undefined,
): readonly Column<SubjectWindow>[] {
  const columns: readonly Column<SubjectWindow>[] = [
    { title: 'Policy', cell: ({ policy }) => policy },
    { title: 'Action', cell: ({ action }) => action },
    {
      title: 'Used',
      number: true,
      // Of a blocked window nothing is left, whatever was used.
      cell: ({ limit, remaining, blockedUntilMs }) =>
        blockedUntilMs === undefined ? `${count(limit - remaining)} of ${count(limit)}` : '–',
    },
    {
      title: 'Now',
      cell: ({ allowed, reason, mode }) => (
        <>
          <span class={allowed ? '' : 'blocked'}>{reason.replaceAll('_', ' ')}</span>
          {mode === 'shadow' ? <span class="tag">shadow</span> : null}
        </>
      ),
    },
    {
      title: 'Admitted again',
      cell: ({ retryAfterMs }) =>
        retryAfterMs === null ? 'never' : retryAfterMs === 0 ? 'now' : `in ${duration(retryAfterMs)}`,
    },
    {
      title: 'All free',
      cell: ({ resetAfterMs }) => (resetAfterMs === null ? 'never' : `in ${duration(resetAfterMs)}`),
    },
  ];
  if (onChanged === undefined) return columns;
  const isEverywhere = blockedEverywhereUntilMs !== undefined;
  const buttons: Column<SubjectWindow> = {
    title: 'Change',
    buttons: true,
    cell: ({ policy, action, blockedUntilMs }) => (
      <>
        {blockedUntilMs === undefined || isEverywhere ? null : (
          <ChangeButton subject={subject} onDone={onChanged} kind="unblock" place={{ policy, action }} />
        )}
        <ChangeButton subject={subject} onDone={onChanged} kind="reset" place={{ policy, action }} />
      </>
    ),
  };
  return [...columns, buttons];
}

const windowCsv: CsvColumns<SubjectWindow> = {
  policy: ({ policy }) => policy,
  action: ({ action }) => action,
  mode: ({ mode }) => mode,
  limit: ({ limit }) => limit,
  remaining: ({ remaining }) => remaining,
  reason: ({ reason }) => reason,
  retry_after_ms: ({ retryAfterMs }) => retryAfterMs,
  reset_after_ms: ({ resetAfterMs }) => resetAfterMs,
  blocked_until: ({ blockedUntilMs }) => isoTime(blockedUntilMs),
};

const length = (ms: number | undefined): string => (ms === undefined ? 'as the policy' : duration(ms));

const overrideColumns: readonly Column<SubjectOverride>[] = [
  { title: 'Policy', cell: ({ policy }) => policy },
  { title: 'For', text: true, cell: ({ subject }) => <code>{subject}</code> },
  { title: 'Limit', number: true, cell: ({ limit }) => (limit === undefined ? 'as the policy' : count(limit)) },
  { title: 'Window', number: true, cell: ({ windowMs }) => length(windowMs) },
  { title: 'Block', number: true, cell: ({ blockMs }) => length(blockMs) },
  { title: 'Mode', cell: ({ mode }) => mode ?? 'as the policy' },
];

const overrideCsv: CsvColumns<SubjectOverride> = {
  policy: ({ policy }) => policy,
  subject: ({ subject }) => subject,
  limit: ({ limit = null }) => limit,
  window_ms: ({ windowMs = null }) => windowMs,
  block_ms: ({ blockMs = null }) => blockMs,
  mode: ({ mode = null }) => mode,
};

function blockColumns(nowMs: number): readonly Column<SubjectBlock>[] {
  return [
    { title: 'Began', cell: ({ createdAtMs }) => <Moment atMs={createdAtMs} /> },
    {
      title: 'Tier',
      cell: ({ tier, mode }) => (
        <>
          {tier} {mode === 'shadow' ? <span class="tag">shadow</span> : null}
        </>
      ),
    },
    { title: 'Action', cell: ({ action }) => action },
    { title: 'Refused', number: true, cell: ({ deniedCount }) => count(deniedCount) },
    {
      title: 'Ends',
      cell: ({ blockedUntilMs }) =>
        blockedUntilMs === null ? 'no end set' : <Away atMs={blockedUntilMs} nowMs={nowMs} />,
    },
  ];
}

const blockCsv: CsvColumns<SubjectBlock> = {
  began_at: ({ createdAtMs }) => isoTime(createdAtMs),
  tier: ({ tier }) => tier,
  action: ({ action }) => action,
  mode: ({ mode }) => mode,
  refused: ({ deniedCount }) => deniedCount,
  blocked_until: ({ blockedUntilMs }) => isoTime(blockedUntilMs),
};
