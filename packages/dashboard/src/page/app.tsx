import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { RangeName } from '../snapshot.ts';
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
  const [range, setRange] = useState<RangeName>('1h');
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
