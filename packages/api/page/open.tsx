import { type ComponentChildren, createContext, type JSX } from 'preact';
import { useContext, useMemo } from 'preact/hooks';

/** Which breaker's history to show. */
export interface OpenBreaker {
  readonly breakerName: string;
  readonly preset: string;
}

/** Opens views above the panels, so that new figures can remove the row that opened them. */
interface Open {
  readonly openSubject: (subject: string) => void;
  readonly openBreaker: (breaker: OpenBreaker) => void;
}

const Opening = createContext<Open>({ openSubject: () => undefined, openBreaker: () => undefined });

/** What a row can open. */
export function useOpen(): Open {
  return useContext(Opening);
}

interface OpenProviderProps {
  readonly onSubject: (subject: string) => void;
  readonly onBreaker: (breaker: OpenBreaker) => void;
  readonly children: ComponentChildren;
}

/** Gives the page's rows the functions that open views. Both functions must keep their identity. */
export function OpenProvider({ onSubject, onBreaker, children }: OpenProviderProps): JSX.Element {
  const open = useMemo(() => ({ openSubject: onSubject, openBreaker: onBreaker }), [onSubject, onBreaker]);
  return <Opening.Provider value={open}>{children}</Opening.Provider>;
}

/** A subject's name, which opens all that is known of it. */
export function SubjectName({ name }: { readonly name: string }): JSX.Element {
  const { openSubject } = useOpen();
  return (
    <button
      type="button"
      class="link long"
      title={name}
      aria-label={`Look up ${name}`}
      onClick={() => openSubject(name)}
    >
      <code>{name}</code>
    </button>
  );
}
