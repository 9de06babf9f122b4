import { fileURLToPath } from 'node:url';

/** Where the built page lies, from `src` and from `dist`: `index.html` and what it loads. Absent until the package was built. */
export const pageFolder: string = fileURLToPath(new URL('../../dist/page/', import.meta.url));
