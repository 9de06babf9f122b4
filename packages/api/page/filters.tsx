import type { JSX, TargetedSubmitEvent } from 'preact';
import type { ChoicesState, Filter, Panel } from '../src/dashboard/snapshot-shape.ts';
import { textOf } from './ask.tsx';

interface FiltersProps {
  readonly filter: Filter;
  readonly choices: Panel<ChoicesState>;
  readonly onFilter: (filter: Filter) => void;
  readonly onSubject: (subject: string) => void;
}

/** What to look at: one subject, or the decisions and blocks of a tier and an action. */
export function Filters({ filter, choices, onFilter, onSubject }: FiltersProps): JSX.Element {
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
