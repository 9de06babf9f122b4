import { render, type JSX, type TargetedSubmitEvent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Filter, type RangeName, rangeNames } from '../src/dashboard/snapshot-shape.ts';
import { Board } from './board.tsx';
import { send, textOf } from './ask.tsx';

const root = document.querySelector('#app');
if (root !== null) render(<App />, root);

type Session =
  | { readonly kind: 'asking' }
  | { readonly kind: 'out'; readonly notice?: string }
  | { readonly kind: 'in'; readonly scopes: readonly string[] };

/** The page: the login form, or the board if there is a session. */
function App(): JSX.Element {
  const [session, setSession] = useState<Session>({ kind: 'asking' });
  const [{ range, ...filter }, setAddress] = useAddress();
  const look = (): void => void currentSession().then(setSession);
  useEffect(look, []);
  switch (session.kind) {
    case 'asking':
      return (
        <main class="center">
          <h1>Spillway</h1>
          Loading …
        </main>
      );
    case 'out':
      return <Login notice={session.notice} onIn={look} />;
    default:
      return (
        <Board
          range={range}
          onRange={(next) => setAddress({ range: next })}
          filter={filter}
          onFilter={setAddress}
          mayChange={session.scopes.some((scope) => scope === 'operate' || scope === 'admin')}
          onSignedOut={() => setSession({ kind: 'out', notice: 'Your session is over: please log in again.' })}
          onLogOut={() => void send('DELETE', '/dashboard/session').then(() => setSession({ kind: 'out' }))}
        />
      );
  }
}

/** The state in the page's address: it survives a reload and can be shared. Never a subject, since addresses are logged. */
type Address = Filter & { readonly range: RangeName };

function useAddress(): readonly [Address, (part: Partial<Address>) => void] {
  const [address, setAddress] = useState<Address>(() => {
    const query = new URLSearchParams(location.search);
    const text = (name: string): string | null => query.get(name) || null;
    const range = rangeNames.find((name) => name === query.get('range')) ?? '1h';
    return { range, tier: text('tier'), action: text('action') };
  });
  const change = (part: Partial<Address>): void => {
    const next = { ...address, ...part };
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(next)) {
      if (value === null) url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    history.replaceState(null, '', url);
    setAddress(next);
  };
  return [address, change];
}

async function currentSession(): Promise<Session> {
  try {
    const response = await fetch('/dashboard/session');
    if (!response.ok) return { kind: 'out' };
    const { scopes }: { readonly scopes: readonly string[] } = await response.json();
    return { kind: 'in', scopes };
  } catch {
    return { kind: 'out', notice: 'The server cannot be reached.' };
  }
}

interface LoginProps {
  /** Why there is a login, if there is something to say. */
  readonly notice?: string | undefined;
  readonly onIn: () => void;
}

/** Asks for an API key that may read. It goes to the server once, and comes back as a cookie that no script can read. */
function Login({ notice, onIn }: LoginProps): JSX.Element {
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const key = textOf(event.currentTarget, 'key').trim();
    setBusy(true);
    const answer = await send('POST', '/dashboard/session', { key });
    setBusy(false);
    if (answer.ok) onIn();
    else setProblem(answer.reason);
  };
  return (
    <main class="login">
      <h1>
        <Mark /> Spillway
      </h1>
      {notice === undefined ? null : (
        <p role="status" class="notice">
          {notice}
        </p>
      )}
      <form onSubmit={(event) => void submit(event)}>
        <input type="text" name="username" autocomplete="username" value="spillway" hidden readOnly />
        <label for="key">API key</label>
        <input
          id="key"
          name="key"
          type="password"
          autocomplete="current-password"
          required
          autofocus
          aria-invalid={problem !== undefined}
          aria-describedby={problem === undefined ? 'scopes' : 'problem scopes'}
        />
        <small id="scopes">One with the scope read or admin.</small>
        {problem === undefined ? null : (
          <p id="problem" role="alert" class="bad">
            {problem}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy}>
          Log in
        </button>
      </form>
    </main>
  );
}

/** The mark of the page's icon, in the theme's colour. */
function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="var(--accent)" />
      <path
        d="M5 12c4-4 7 4 11 0s7 4 11 0M5 20c4-4 7 4 11 0s7 4 11 0"
        fill="none"
        stroke="var(--on-accent)"
        stroke-width="3"
        stroke-linecap="round"
      />
    </svg>
  );
}
