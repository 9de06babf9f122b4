import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Filter, type RangeName, rangeNames } from '../src/dashboard/snapshot-shape.ts';
import { send } from './api.ts';
import { Board } from './board.tsx';
import { Login } from './login.tsx';

type Session =
  | { readonly kind: 'asking' }
  | { readonly kind: 'out'; readonly notice?: string }
  | { readonly kind: 'in'; readonly scopes: readonly string[] };

/** The page: the login form, or the board if there is a session. */
export function App(): JSX.Element {
  const [session, setSession] = useState<Session>({ kind: 'asking' });
  const [{ range, ...filter }, setAddress] = useAddress();
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
