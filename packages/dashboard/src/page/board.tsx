import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { type RangeName, RANGES } from '../snapshot.ts';
import { relative } from './format.ts';
import { Alerts } from './panels/alerts.tsx';
import { Blocked } from './panels/blocked.tsx';
import { Breakers } from './panels/breakers.tsx';
import { Capacity } from './panels/capacity.tsx';
import { Decisions } from './panels/decisions.tsx';
import { Jobs } from './panels/jobs.tsx';
import { Trail } from './panels/trail.tsx';
import { type Feed, useSnapshot } from './use-snapshot.ts';

interface BoardProps {
  readonly range: RangeName;
  readonly onRange: (range: RangeName) => void;
  /** Whether the key may unblock and force. */
  readonly mayChange: boolean;
  readonly onSignedOut: () => void;
  readonly onLogOut: () => void;
}

const rangeNames: readonly RangeName[] = ['15m', '1h', '6h', '24h', '7d'];

/** Everything on one page, the most urgent first. */
export function Board({ range, onRange, mayChange, onSignedOut, onLogOut }: BoardProps): JSX.Element {
  const feed = useSnapshot(range);
  useEffect(() => {
    if (feed.kind === 'signed-out') onSignedOut();
  }, [feed.kind]);
  const snapshot = 'snapshot' in feed ? feed.snapshot : undefined;
  return (
    <>
      <header>
        <h1>Spillway</h1>
        <Liveness feed={feed} />
        <fieldset class="ranges">
          <legend class="hidden">Time range</legend>
          {rangeNames.map((name) => (
            <label key={name}>
              <input type="radio" name="range" value={name} checked={name === range} onChange={() => onRange(name)} />
              <span>{name}</span>
            </label>
          ))}
        </fieldset>
        <button type="button" onClick={onLogOut}>
          Log out
        </button>
      </header>
      {snapshot === undefined ? (
        <p class="center">Waiting for the first figures …</p>
      ) : (
        <main class="board">
          <Alerts panel={snapshot.alerts} nowMs={snapshot.nowMs} />
          <Decisions panel={snapshot.decisions} range={RANGES[snapshot.range]} nowMs={snapshot.nowMs} />
          <Breakers panel={snapshot.breakers} nowMs={snapshot.nowMs} mayChange={mayChange} />
          <Blocked panel={snapshot.blocked} nowMs={snapshot.nowMs} mayChange={mayChange} />
          <Trail panel={snapshot.trail} range={RANGES[snapshot.range]} nowMs={snapshot.nowMs} />
          <Jobs panel={snapshot.jobs} nowMs={snapshot.nowMs} />
          <Capacity panel={snapshot.capacity} />
        </main>
      )}
    </>
  );
}

function Liveness({ feed }: { readonly feed: Feed }): JSX.Element {
  switch (feed.kind) {
    case 'live':
      return (
        <span role="status" class="live">
          live
        </span>
      );
    case 'stale':
      return (
        <span role="status" class="stale">
          no connection
          {feed.snapshot === undefined ? '' : `: figures of ${relative(feed.snapshot.nowMs, Date.now())}`}
        </span>
      );
    default:
      return <span role="status">connecting …</span>;
  }
}
