import type { JSX } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import {
  type Filter,
  type RangeName,
  rangeNames,
  RANGES,
  type Snapshot,
  workerOf,
} from '../src/dashboard/snapshot-shape.ts';
import { AskProvider } from './ask.tsx';
import { Filters } from './filters.tsx';
import { History } from './history.tsx';
import { ConnectionStatus } from './connection-status.tsx';
import { type OpenBreaker, OpenProvider } from './open.tsx';
import { Alerts } from './panels/alerts.tsx';
import { Blocked } from './panels/blocked.tsx';
import { Breakers } from './panels/breakers.tsx';
import { Capacity } from './panels/capacity.tsx';
import { Decisions } from './panels/decisions.tsx';
import { Gaps } from './panels/gaps.tsx';
import { Jobs } from './panels/jobs.tsx';
import { SummaryStrip } from './panels/summary-strip.tsx';
import { SubjectPanel } from './panels/subject.tsx';
import { MostCalls, MostRefused } from './panels/top.tsx';
import { Trail } from './panels/trail.tsx';
import { useSnapshot } from './use-snapshot.ts';

interface BoardProps {
  readonly range: RangeName;
  readonly onRange: (range: RangeName) => void;
  readonly filter: Filter;
  readonly onFilter: (filter: Filter) => void;
  /** Whether the key may unblock, force and resolve. */
  readonly mayChange: boolean;
  readonly onSignedOut: () => void;
  readonly onLogOut: () => void;
}

/** Everything on one page, the most urgent first. */
export function Board(props: BoardProps): JSX.Element {
  const { range, onRange, filter, onFilter, mayChange, onSignedOut, onLogOut } = props;
  const feed = useSnapshot(range, filter);
  const [subject, setSubject] = useState<{ readonly name: string; readonly asked: number }>();
  // Who asks for the same one again wants it as it is now.
  const openSubject = useCallback(
    (name: string) => setSubject((last) => ({ name, asked: (last?.asked ?? 0) + 1 })),
    [],
  );
  const [breaker, setBreaker] = useState<OpenBreaker>();
  useEffect(() => {
    if (feed.kind === 'signed-out') onSignedOut();
  }, [feed.kind]);
  const snapshot = 'snapshot' in feed ? feed.snapshot : undefined;
  useTitle(snapshot);
  return (
    <AskProvider>
      <OpenProvider onSubject={openSubject} onBreaker={setBreaker}>
        <header>
          <h1>Spillway</h1>
          <ConnectionStatus feed={feed} />
          <Ranges range={range} onRange={onRange} />
          <nav>
            {mayChange ? <a href="/queues">Queues</a> : null}
            <button type="button" onClick={onLogOut}>
              Log out
            </button>
          </nav>
        </header>
        {snapshot === undefined ? (
          <main class="center">Waiting for the first figures …</main>
        ) : (
          <main class={feed.kind === 'live' ? 'board' : 'board old'}>
            <Filters filter={filter} choices={snapshot.choices} onFilter={onFilter} onSubject={openSubject} />
            {subject === undefined ? null : (
              <SubjectPanel
                key={subject.asked}
                subject={subject.name}
                nowMs={snapshot.nowMs}
                mayChange={mayChange}
                onClose={() => setSubject(undefined)}
              />
            )}
            <Panels snapshot={snapshot} mayChange={mayChange} />
          </main>
        )}
        {breaker === undefined ? null : <History breaker={breaker} onLeave={() => setBreaker(undefined)} />}
      </OpenProvider>
    </AskProvider>
  );
}

function Ranges({ range, onRange }: Pick<BoardProps, 'range' | 'onRange'>): JSX.Element {
  return (
    <fieldset class="ranges">
      <legend class="hidden">Time range</legend>
      {rangeNames.map((name) => (
        <label key={name}>
          <input type="radio" name="range" value={name} checked={name === range} onChange={() => onRange(name)} />
          <span>{name}</span>
        </label>
      ))}
    </fieldset>
  );
}

interface PanelsProps {
  readonly snapshot: Snapshot;
  readonly mayChange: boolean;
}

function Panels({ snapshot, mayChange }: PanelsProps): JSX.Element {
  const { nowMs } = snapshot;
  const range = RANGES[snapshot.range];
  return (
    <>
      <Alerts panel={snapshot.alerts} nowMs={nowMs} />
      <SummaryStrip snapshot={snapshot} />
      <Decisions
        panel={snapshot.decisions}
        range={range}
        nowMs={nowMs}
        worker={workerOf(snapshot)}
        tier={snapshot.filter.tier}
      />
      <Breakers panel={snapshot.breakers} nowMs={nowMs} mayChange={mayChange} />
      <Blocked panel={snapshot.blocks} trail={snapshot.trail} nowMs={nowMs} mayChange={mayChange} />
      <MostRefused panel={snapshot.blocks} />
      <MostCalls panel={snapshot.users} nowMs={nowMs} />
      <Trail panel={snapshot.trail} range={range} nowMs={nowMs} />
      <Capacity panel={snapshot.capacity} nowMs={nowMs} />
      <Gaps panel={snapshot.gaps} nowMs={nowMs} mayChange={mayChange} />
      <Jobs panel={snapshot.jobs} nowMs={nowMs} />
    </>
  );
}

/** The browser's tab tells the number of alerts, and that no worker reports. */
function useTitle(snapshot: Snapshot | undefined): void {
  const alerts = snapshot?.alerts.kind === 'ready' ? snapshot.alerts.data.length : 0;
  const worker = snapshot === undefined ? 'unknown' : workerOf(snapshot).kind;
  const name = worker === 'gone' || worker === 'never' ? 'No worker – Spillway' : 'Spillway';
  useEffect(() => {
    document.title = alerts === 0 ? name : `(${alerts}) ${name}`;
    return () => {
      document.title = 'Spillway';
    };
  }, [alerts, name]);
}
