import type { JSX } from 'preact';
import type { JobState, Panel as PanelState } from '../../snapshot.ts';
import { count, duration, moment, relative } from '../format.ts';
import { Nothing, Panel } from '../panel.tsx';

interface JobsProps {
  readonly panel: PanelState<readonly JobState[]>;
  readonly nowMs: number;
}

/** The last run of each maintenance job and the next. */
export function Jobs({ panel, nowMs }: JobsProps): JSX.Element {
  return (
    <Panel title="Maintenance" about="The last run of each job, and the next." panel={panel}>
      {(jobs) =>
        jobs.length === 0 ? (
          <Nothing>There are no jobs.</Nothing>
        ) : (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">Job</th>
                  <th scope="col">Last run</th>
                  <th scope="col" class="number">
                    Rows
                  </th>
                  <th scope="col">Next</th>
                </tr>
              </thead>
              <tbody>
                {jobs.map((job) => (
                  <Row key={job.jobName} job={job} nowMs={nowMs} />
                ))}
              </tbody>
            </table>
          </div>
        )
      }
    </Panel>
  );
}

function Row({ job, nowMs }: { readonly job: JobState; readonly nowMs: number }): JSX.Element {
  const { jobName, status, startedAtMs, durationMs, dryRun, rowsMoved, errorMessage, nextRunMs } = job;
  const bad = status === 'failed' || status === 'crashed';
  return (
    <tr>
      <td>{jobName}</td>
      <td title={errorMessage ?? ''}>
        <span class={bad ? 'bad' : ''}>{status === 'never' ? 'has not run yet' : status}</span>
        {dryRun ? <span class="tag">dry run</span> : null}
        {startedAtMs === null ? null : <small> {relative(startedAtMs, nowMs)}</small>}
        {durationMs === null ? null : <small>, took {duration(durationMs)}</small>}
        {errorMessage === null ? null : <div class="bad">{errorMessage}</div>}
      </td>
      <td class="number">{count(rowsMoved)}</td>
      <td title={nextRunMs === null ? '' : moment(nextRunMs)}>
        {nextRunMs === null ? 'not scheduled' : relative(nextRunMs, nowMs)}
      </td>
    </tr>
  );
}
