import { auditDeadLetters, auditGaps } from '../schema/audit.ts';

/**
 * Roles that own nothing but what they must, for users to be members of one or several:
 * - writer: the worker's sink. Adds to the trail, and can neither change nor delete what is in it.
 * - maintenance: the worker's jobs. Moves, deletes and sums up by age; owns the archives and system_metrics, as attaching a
 *   partition demands.
 * - reader: dashboards. Reads everything but keys.
 * - api: the keys of the HTTP API, metrics that are posted to it, manual changes, and resolved gaps. Its user is a member of
 *   reader too, and can neither change nor delete what is in the trail or in the archives, nor archive.
 */
export const roleNames = ['spillway_writer', 'spillway_maintenance', 'spillway_reader', 'spillway_api'] as const;

/** One of them. */
export type RoleName = (typeof roleNames)[number];

/** What one role may do with one object, as GRANT spells it. */
export interface Grant {
  readonly role: RoleName;
  readonly privileges: string;
  /** `TABLE spillway.alerts`, `FUNCTION spillway.upsert_blocks`, `SCHEMA archive`. */
  readonly on: string;
}

/** What each role may do with a table; nothing where it isn't named. */
interface TablePrivileges {
  readonly writer?: string;
  readonly maintenance?: string;
  readonly reader?: string;
  readonly api?: string;
}

/**
 * Locking a row before it is moved takes UPDATE on some column: the key is the least useful one to a vandal. An application
 * that had its live tables before may have no such column there, and its first one stands in.
 */
export const MOVE = 'SELECT, DELETE, UPDATE (id)';
/** ON CONFLICT (id) and RETURNING id read the key. */
const ADD = 'INSERT, SELECT (id)';
/** All that a job does with rows of its own tables. */
export const OWN = 'SELECT, INSERT, UPDATE, DELETE';

/** Every table has its line, in a test: a new one has no rights until a line grants them. */
export const tablePrivileges: Readonly<Record<string, TablePrivileges>> = {
  // Blocks are written through upsert_blocks(), outages through upsert_outages().
  'public.rate_limits_v2': { maintenance: MOVE, reader: 'SELECT' },
  'public.circuit_breaker_events': { writer: 'INSERT', maintenance: `${MOVE}, INSERT`, reader: 'SELECT' },
  'spillway.audit_gaps': {
    writer: 'INSERT',
    maintenance: OWN,
    reader: 'SELECT',
    api: `UPDATE (${auditGaps.resolvedAtMs.name})`,
  },
  'spillway.audit_dead_letters': {
    writer: ADD,
    maintenance: `SELECT, UPDATE (${auditDeadLetters.replayedAtMs.name}), DELETE`,
    reader: 'SELECT',
  },
  // Written through note_stored(), note_seen() and end_epochs().
  'spillway.audit_epochs': { maintenance: 'SELECT', reader: 'SELECT' },
  'spillway.audit_watermarks': { maintenance: 'SELECT, INSERT, UPDATE', reader: 'SELECT' },
  // The reconcile reads the outbox numbers of changes.
  'spillway.changes': { writer: ADD, maintenance: 'INSERT, SELECT', reader: 'SELECT', api: ADD },
  'spillway.migrations': { writer: 'SELECT', maintenance: 'SELECT', reader: 'SELECT', api: 'SELECT' },
  'public.system_metrics': { writer: ADD, maintenance: `${MOVE}, INSERT`, reader: 'SELECT', api: ADD },
  // Written through add_decisions(). Cleanup by age.
  'spillway.decision_reports': { maintenance: MOVE, reader: 'SELECT' },
  'spillway.decision_counts': { maintenance: 'SELECT, DELETE, UPDATE (count)', reader: 'SELECT' },
  'spillway.decision_counts_hourly': { maintenance: 'SELECT, DELETE, UPDATE (count)', reader: 'SELECT' },
  // A sample that comes late leaves a mark here, by a trigger that runs as the writer.
  'spillway.system_metric_late_minutes': {
    writer: 'SELECT, INSERT, UPDATE',
    maintenance: OWN,
    reader: 'SELECT',
    api: 'SELECT, INSERT, UPDATE',
  },
  'spillway.system_metric_rollup_state': {
    writer: 'SELECT',
    maintenance: 'SELECT, UPDATE',
    reader: 'SELECT',
    api: 'SELECT',
  },
  'spillway.system_metric_rollups': { maintenance: OWN, reader: 'SELECT' },
  'spillway.alerts': { maintenance: OWN, reader: 'SELECT' },
  // Hashes of keys: no dashboard needs them.
  'spillway.api_keys': { api: 'SELECT, INSERT, UPDATE' },
  'public.api_call_logs': { writer: 'INSERT', maintenance: MOVE, reader: 'SELECT' },
  'public.audit_logs': { writer: 'INSERT', maintenance: MOVE, reader: 'SELECT' },
  'public.generations': { maintenance: MOVE, reader: 'SELECT' },
  'archive.api_call_logs': { maintenance: OWN, reader: 'SELECT' },
  'archive.audit_logs': { maintenance: OWN, reader: 'SELECT' },
  'archive.generations': { maintenance: OWN, reader: 'SELECT' },
  'archive.archival_runs': { maintenance: 'SELECT, INSERT, UPDATE', reader: 'SELECT' },
  'spillway.partition_moves': { maintenance: OWN, reader: 'SELECT' },
  'spillway.job_runs': { maintenance: OWN, reader: 'SELECT' },
  'spillway.observer_turns': { maintenance: 'SELECT, INSERT, UPDATE', reader: 'SELECT' },
};

/**
 * Who may call which function. Replaying a dead letter writes what the sink would have. Those in `public` are named with their
 * arguments: an application may have others of the same name there.
 */
const functionCallers: Readonly<Record<string, readonly RoleName[]>> = {
  'public.record_metric(text, numeric, text, jsonb)': ['spillway_writer', 'spillway_maintenance', 'spillway_api'],
  'public.get_metric_stats(text, integer)': ['spillway_reader', 'spillway_maintenance'],
  'spillway.metric_bucket': ['spillway_reader', 'spillway_maintenance'],
  'spillway.metric_bucket_value': ['spillway_reader', 'spillway_maintenance'],
  'spillway.metric_rollup_cover': ['spillway_reader', 'spillway_maintenance'],
  'spillway.roll_up_metrics': ['spillway_maintenance'],
  'spillway.seal_metrics': ['spillway_maintenance'],
  'spillway.add_decisions': ['spillway_writer', 'spillway_maintenance'],
  'spillway.upsert_blocks': ['spillway_writer', 'spillway_maintenance'],
  'spillway.upsert_outages': ['spillway_writer', 'spillway_maintenance'],
  'spillway.note_stored': ['spillway_writer', 'spillway_maintenance'],
  'spillway.note_seen': ['spillway_writer', 'spillway_maintenance'],
  'spillway.end_epochs': ['spillway_writer', 'spillway_maintenance'],
};

/** Our functions in the schema `public`, with their arguments. */
export const publicFunctions: readonly string[] = Object.keys(functionCallers).filter((name) =>
  name.startsWith('public.'),
);

/** All grants. Which rows a role sees is not asked: the policy `spillway` of a table lets these four roles see all of them. */
export const grants: readonly Grant[] = [
  ...roleNames.map((role) => ({ role, privileges: 'USAGE', on: 'SCHEMA spillway' })),
  // PUBLIC has it unless an administrator took it away, as guides for a safe set-up say.
  ...roleNames.map((role) => ({ role, privileges: 'USAGE', on: 'SCHEMA public' })),
  // The days of system_metrics are made there.
  { role: 'spillway_maintenance', privileges: 'CREATE', on: 'SCHEMA spillway' },
  { role: 'spillway_maintenance', privileges: 'USAGE, CREATE', on: 'SCHEMA archive' },
  { role: 'spillway_reader', privileges: 'USAGE', on: 'SCHEMA archive' },
  ...Object.entries(functionCallers).flatMap(([name, roles]) =>
    roles.map((role) => ({ role, privileges: 'EXECUTE', on: `FUNCTION ${name}` })),
  ),
  ...Object.entries(tablePrivileges).flatMap(([table, { writer, maintenance, reader, api }]) =>
    [
      grant('spillway_writer', writer, table),
      grant('spillway_maintenance', maintenance, table),
      grant('spillway_reader', reader, table),
      grant('spillway_api', api, table),
    ].flat(),
  ),
];

function grant(role: RoleName, privileges: string | undefined, table: string): Grant[] {
  return privileges === undefined ? [] : [{ role, privileges, on: `TABLE ${table}` }];
}
