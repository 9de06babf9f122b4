import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type RangeName, rangeNames } from '../src/dashboard/snapshot-shape.ts';
import { send } from './api.ts';
import { Board } from './board.tsx';
import { Login } from './login.tsx';

type Session =
  | { readonly kind: 'asking' }
  | { readonly kind: 'out'; readonly notice?: string }
  | { readonly kind: 'in'; readonly scopes: readonly string[] };

/** The page: a login, or the board of whoever is logged in. */
export function App(): JSX.Element {
  const [session, setSession] = useState<Session>({ kind: 'asking' });
  const [range, setRange] = useRange();
  const look = (): void => void currentSession().then(setSession);
  useEffect(look, []);
  switch (session.kind) {
    case 'asking':
      return <p class="center">Loading …</p>;
    case 'out':
      return <Login notice={session.notice} onIn={look} />;
    default:
      return (
        <Board
          range={range}
          onRange={setRange}
          mayChange={session.scopes.some((scope) => scope === 'operate' || scope === 'admin')}
          onSignedOut={() => setSession({ kind: 'out', notice: 'Your session is over: please log in again.' })}
          onLogOut={() => void send('DELETE', '/dashboard/session').then(() => setSession({ kind: 'out' }))}
        />
      );
  }
}

/** The range, which is in the page's address: it survives a reload and can be sent to somebody. */
function useRange(): readonly [RangeName, (range: RangeName) => void] {
  const [range, setRange] = useState<RangeName>(() => {
    const named = new URLSearchParams(location.search).get('range') ?? '';
    return rangeNames.find((name) => name === named) ?? '1h';
  });
  const choose = (next: RangeName): void => {
    const url = new URL(location.href);
    url.searchParams.set('range', next);
    history.replaceState(null, '', url);
    setRange(next);
  };
  return [range, choose];
}

async function currentSession(): Promise<Session> {
  try {
    const response = await fetch('/dashboard/session');
    if (!response.ok) return { kind: 'out' };
    const { scopes }: { readonly scopes: readonly string[] } = await response.json();
    return { kind: 'in', scopes };
  } catch {
    return { kind: 'out', notice: 'The server can not be reached.' };
  }
}
