import type { JSX, TargetedSubmitEvent } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import {
  type Filter,
  type RangeName,
  rangeNames,
  RANGES,
  type Snapshot,
  workerOf,
  type ChoicesState,
  type Panel,
} from '../src/dashboard/snapshot-shape.ts';
import { AskProvider, textOf } from './ask.tsx';
import { History } from './history.tsx';
import { Blocked } from './panels/blocked.tsx';
import { Breakers } from './panels/breakers.tsx';
import { Capacity } from './panels/capacity.tsx';
import { Decisions } from './panels/decisions.tsx';
import { Jobs } from './panels/jobs.tsx';
import { SummaryStrip, Alerts } from './panels/summary-strip.tsx';
import { SubjectPanel } from './panels/subject.tsx';
import { MostCalls, MostRefused } from './panels/top.tsx';
import { Trail, Gaps } from './panels/trail.tsx';
import { useSnapshot, ConnectionStatus } from './use-snapshot.tsx';
import { type OpenBreaker, OpenProvider } from './panel.tsx';

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

interface FiltersProps {
  readonly filter: Filter;
  readonly choices: Panel<ChoicesState>;
  readonly onFilter: (filter: Filter) => void;
  readonly onSubject: (subject: string) => void;
}

/** What to look at: one subject, or the decisions and blocks of a tier and an action. */
function Filters({ filter, choices, onFilter, onSubject }: FiltersProps): JSX.Element {
  const { tiers, actions } = choices.kind === 'ready' ? choices.data : { tiers: [], actions: [] };
  return (
    <div class="filters wide">
      <Search onSubject={onSubject} />
      <Choice name="Tier" value={filter.tier} of={tiers} onChoice={(tier) => onFilter({ ...filter, tier })} />
      <Choice name="Action" value={filter.action} of={actions} onChoice={(action) => onFilter({ ...filter, action })} />
    </div>
  );
}

function Search({ onSubject }: Pick<FiltersProps, 'onSubject'>): JSX.Element {
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const subject = textOf(event.currentTarget, 'subject').trim();
    if (subject !== '') onSubject(subject);
  };
  return (
    <form role="search" onSubmit={submit}>
      <label>
        Subject
        <input
          name="subject"
          type="search"
          placeholder="user:42 or ip:203.0.113.7"
          autocomplete="off"
          spellcheck={false}
        />
      </label>
      <button type="submit">Look up</button>
    </form>
  );
}

interface ChoiceProps {
  readonly name: string;
  readonly value: string | null;
  readonly of: readonly string[];
  readonly onChoice: (value: string | null) => void;
}

function Choice({ name, value, of, onChoice }: ChoiceProps): JSX.Element {
  // What is in the address may not be among those that were blocked lately.
  const options = value === null || of.includes(value) ? of : [value, ...of];
  return (
    <label>
      {name}
      <select value={value ?? ''} onChange={(event) => onChoice(event.currentTarget.value || null)}>
        <option value="">all</option>
        {options.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    </label>
  );
}
