// Everyone wants one thing. Exactly as many get it as there are.
import exec from 'k6/execution';
import { newKey, reserve, seed, sku, summarize, trendStats } from './lib.js';

const RATE = Number(__ENV.RATE || 2000);
const SECONDS = Number(__ENV.SECONDS || 15);
const UNITS = Number(__ENV.UNITS || Math.floor((RATE * SECONDS) / 2));

export const options = {
  scenarios: {
    hot: {
      executor: 'constant-arrival-rate', rate: RATE, duration: `${SECONDS}s`,
      preAllocatedVUs: 600, maxVUs: 1200,
    },
  },
  thresholds: {
    dropped_iterations: ['count==0'],
    http_req_failed: ['rate==0'],
    reserve_failed: ['count==0'],
    reserve_accepted: [`count==${UNITS}`],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  seed(1, UNITS);
}

export default function () {
  reserve(newKey(exec), {
    channel: 'web', ttl_seconds: 600, lines: [{ sku: sku(0), quantity: 1 }],
  });
}

export const handleSummary = summarize;
