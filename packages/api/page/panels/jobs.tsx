import type { JSX } from 'preact';
import type { JobState, Panel as PanelState } from '../../src/dashboard/snapshot-shape.ts';
import { type CsvColumns, isoTime } from '../csv.ts';
import { count, duration } from '../format.ts';
import { Panel, Away, Moment, type Column, Table } from '../panel.tsx';

interface JobsProps {
  readonly panel: PanelState<readonly JobState[]>;
  readonly nowMs: number;
}

/** The last run of each maintenance job and the next. */
export function Jobs({ panel, nowMs }: JobsProps): JSX.Element {
  return (
    <Panel
      title="Maintenance"
      about="The last run of each job, whatever the time range, and the next."
      panel={panel}
      wide
    >
      {(jobs) => (
        <Table
          label="Maintenance"
          columns={columnsOf(nowMs)}
          rows={jobs}
          keyOf={({ jobName }) => jobName}
          csv={csv}
          empty="There are no jobs."
        />
      )}
    </Panel>
  );
}

function columnsOf(nowMs: number): readonly Column<JobState>[] {
  return [
    { title: 'Job', cell: ({ jobName }) => <code>{jobName}</code> },
    { title: 'Last run', text: true, cell: (job) => <LastRun job={job} nowMs={nowMs} /> },
    { title: 'Took', number: true, cell: ({ durationMs }) => (durationMs === null ? '–' : duration(durationMs)) },
    {
      title: 'Rows moved',
      number: true,
      cell: ({ status, rowsMoved }) => (status === 'never' ? '–' : count(rowsMoved)),
    },
    { title: 'Next run', text: true, cell: (job) => <NextRun job={job} nowMs={nowMs} /> },
  ];
}

const csv: CsvColumns<JobState> = {
  job: ({ jobName }) => jobName,
  status: ({ status }) => status,
  asked_by: ({ trigger }) => trigger,
  attempts: ({ attempts }) => attempts,
  dry_run: ({ dryRun }) => dryRun,
  started_at: ({ startedAtMs }) => isoTime(startedAtMs),
  took_ms: ({ durationMs }) => durationMs,
  rows_moved: ({ rowsMoved }) => rowsMoved,
  error: ({ errorMessage }) => errorMessage,
  next_run_at: ({ nextRunMs }) => isoTime(nextRunMs),
};

interface RunProps {
  readonly job: JobState;
  readonly nowMs: number;
}

function LastRun({
  job: { status, trigger, attempts, startedAtMs, dryRun, errorMessage },
  nowMs,
}: RunProps): JSX.Element {
  if (status === 'never') return <span class="muted">has not run yet</span>;
  const bad = status === 'failed' || status === 'crashed';
  return (
    <span>
      <span class={bad ? 'bad' : ''}>{status}</span>
      {trigger === 'http' || trigger === 'cli' ? (
        <span class="tag">by {trigger === 'cli' ? 'hand' : 'HTTP'}</span>
      ) : null}
      {attempts > 1 ? <span class="tag">attempt {attempts}</span> : null}
      {dryRun ? <span class="tag">dry run</span> : null}
      {startedAtMs === null ? null : (
        <small>
          {' '}
          <Away atMs={startedAtMs} nowMs={nowMs} />
        </small>
      )}
      {errorMessage === null ? null : <small class="error">{errorMessage}</small>}
    </span>
  );
}

function NextRun({ job: { nextRunMs }, nowMs }: RunProps): JSX.Element {
  if (nextRunMs === null) return <span class="muted">not scheduled</span>;
  return (
    <span>
      <Away atMs={nextRunMs} nowMs={nowMs} />{' '}
      <small>
        <Moment atMs={nextRunMs} />
      </small>
    </span>
  );
}
