import type { JSX } from 'preact';
import { type WorkerState, workerOf } from '../src/dashboard/snapshot-shape.ts';
import { clock, time, utc, zoneName } from './format.ts';
import type { SnapshotStream } from './use-snapshot.ts';

/** A replica that is less far behind counts as current, in ms. */
const SHOWN_FROM_MS = 2_000;

const seconds = (ms: number): number => Math.round(ms / 1000);

/** Whether the figures are current. Only a change is announced to screen readers: the time is outside of the status. */
export function ConnectionStatus({ feed }: { readonly feed: SnapshotStream }): JSX.Element {
  const snapshot = 'snapshot' in feed ? feed.snapshot : undefined;
  const at = snapshot?.nowMs;
  const behind = snapshot?.behindMs ?? null;
  const worker = snapshot === undefined ? undefined : workerOf(snapshot);
  const isOld = worker?.kind === 'gone' || worker?.kind === 'never';
  return (
    <p class={`connection-status ${isOld && feed.kind === 'live' ? 'stale' : feed.kind}`}>
      <span role="status" title={worker?.kind === 'gone' ? utc(worker.sinceMs) : undefined}>
        {feed.kind === 'live' && worker !== undefined ? ofWorker(worker) : words(feed.kind)}
      </span>
      {behind === null || behind < SHOWN_FROM_MS ? null : (
        <span class="behind"> · replica {seconds(behind)} s behind</span>
      )}
      {at === undefined ? null : (
        <time dateTime={new Date(at).toISOString()} title={utc(at)}>
          {' '}
          {time(at)}
          <span class="zone"> {zoneName(at)}</span>
        </time>
      )}
    </p>
  );
}

function ofWorker(worker: WorkerState): string {
  if (worker.kind === 'gone') return `no worker since ${clock(worker.sinceMs)}: figures are old`;
  return worker.kind === 'never' ? 'no worker has reported' : 'live';
}

function words(kind: SnapshotStream['kind']): string {
  switch (kind) {
    case 'live':
      return 'live';
    case 'stale':
      return 'no connection, trying again; figures of';
    default:
      return 'connecting …';
  }
}
