import type { JSX } from 'preact';
import { send } from '../api.ts';
import { type Question, type Said, useAsk } from '../ask.tsx';

/** About whom, and what to do when it is done. */
export interface Change {
  readonly subject: string;
  readonly onDone: () => void;
}

/** A window of the subject. */
interface Place {
  readonly policy: string;
  readonly action: string;
}

interface ChangeButtonProps {
  readonly change: Change;
  readonly kind: keyof typeof changes;
  /** Absent: under every policy. */
  readonly place?: Place;
}

const changes = {
  unblock: {
    label: 'Unblock',
    text: (who: string, where: string) =>
      `${who} may pass ${where} again, at once and in the whole fleet. What was used stays used.`,
    path: ({ policy }: Place) => `/v1/limits/${encodeURIComponent(policy)}/unblock`,
  },
  reset: {
    label: 'Reset',
    text: (who: string, where: string) =>
      `What ${who} used ${where} is forgotten, and its block too, in the whole fleet.`,
    path: ({ policy }: Place) => `/v1/limits/${encodeURIComponent(policy)}/reset`,
  },
  everywhere: {
    label: 'Unblock everywhere',
    text: (who: string) => `${who} is no longer blocked under every policy. Blocks of single policies stay.`,
    path: () => '/v1/subjects/unblock',
  },
} as const;

/** A button that asks, with a reason that the trail keeps, and then does it by the same routes as any other client. */
export function ChangeButton({ change: { subject, onDone }, kind, place }: ChangeButtonProps): JSX.Element {
  const ask = useAsk();
  const { label, text, path } = changes[kind];
  const where = place === undefined ? '' : `${place.action} under ${place.policy}`;
  const question: Question = {
    label,
    text: text(subject, `with ${where}`),
    done: `${label}: ${subject}. Done.`,
    danger: kind === 'reset',
    fields: ['why'],
    act: async ({ why }: Said) => {
      const body = {
        subject,
        ...(place === undefined ? {} : { action: place.action }),
        ...(why === '' ? {} : { why }),
      };
      const answer = await send('POST', path(place ?? { policy: '', action: '' }), body);
      if (answer.ok) onDone();
      return answer;
    },
  };
  const name = place === undefined ? `${label}: ${subject}` : `${label} ${subject}, ${where}`;
  return (
    <button type="button" aria-label={name} onClick={() => ask(question)}>
      {label}
    </button>
  );
}
