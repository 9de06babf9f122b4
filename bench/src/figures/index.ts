export { barChart, type Bar, type BarChartOptions } from './bar-chart.ts';
export { lineChart, type Line, type LineChartOptions, type Mark } from './line-chart.ts';
export { markdownTable, type Column } from './markdown-table.ts';
