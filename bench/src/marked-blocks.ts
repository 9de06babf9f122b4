/**
 * A page whose blocks between `<!-- KIND: NAME -->` and `<!-- /KIND -->` are replaced by these.
 * @throws {Error} when the page lacks a block, or has one that isn't given: neither may go out of date unseen
 */
export function withBlocks(page: string, kind: string, blocks: ReadonlyMap<string, string>): string {
  const missing = new Set(blocks.keys());
  const marked = new RegExp(`<!-- ${kind}: (\\S+) -->\\n.*?<!-- /${kind} -->`, 'gsu');
  const text = page.replace(marked, (_, name: string) => {
    const block = blocks.get(name);
    if (block === undefined) throw new Error(`the page has a block "${name}" that nothing writes`);
    missing.delete(name);
    return `<!-- ${kind}: ${name} -->\n\n${block}\n\n<!-- /${kind} -->`;
  });
  if (missing.size > 0) throw new Error(`the page has no block "${[...missing].join(', ')}"`);
  return text;
}
