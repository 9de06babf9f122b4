/** A pattern in which `*` stands for any run of characters, also none. No other character is special. */
export interface Glob {
  readonly text: string;
  /** Characters that are not `*`: the more, the closer the pattern. */
  readonly literals: number;
  matches(text: string): boolean;
}

/** Whether a text is a pattern rather than a name. */
export function isGlob(text: string): boolean {
  return text.includes('*');
}

/**
 * Compiles a pattern. The pieces between the stars are looked for one after the other, each as far to the left as it can
 * be, so that a match takes time in proportion to the text: no backtracking, whatever the pattern.
 */
export function compileGlob(text: string): Glob {
  const pieces = text.split('*');
  const head = pieces[0] ?? '';
  const tail = pieces.at(-1) ?? '';
  const middle = pieces.slice(1, -1).filter((piece) => piece !== '');
  const literals = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return {
    text,
    literals,
    matches(candidate) {
      if (candidate.length < literals || !candidate.startsWith(head) || !candidate.endsWith(tail)) return false;
      let from = head.length;
      for (const piece of middle) {
        const at = candidate.indexOf(piece, from);
        if (at === -1) return false;
        from = at + piece.length;
      }
      return from + tail.length <= candidate.length;
    },
  };
}

/** Closest first: most literal characters, then fewest stars, then by the text, so that the order is always the same. */
export function closestFirst(one: Glob, other: Glob): number {
  return one.literals !== other.literals
    ? other.literals - one.literals
    : one.text.length - other.text.length || (one.text < other.text ? -1 : 1);
}
