const path = require('node:path');

/** @param {{ entry?: string }} env `--env entry=FILE`: another program than app.mjs */
module.exports = ({ entry = 'app.mjs' }) => ({
  mode: 'production',
  target: 'node20',
  entry: `./${entry}`,
  output: { path: path.join(__dirname, 'out'), filename: 'webpack.cjs' },
});
