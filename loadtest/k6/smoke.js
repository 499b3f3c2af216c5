// Ten seconds of everything, slowly: does the whole way work? For CI.
import exec from 'k6/execution';
import { check } from 'k6';
import { act, availability, newKey, reserve, seed, sku, summarize, trendStats } from './lib.js';

export const options = {
  scenarios: {
    smoke: {
      executor: 'constant-arrival-rate', rate: 50, duration: '10s',
      preAllocatedVUs: 20, maxVUs: 50,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    dropped_iterations: ['count==0'],
    http_req_failed: ['rate==0'],
    reserve_failed: ['count==0'],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  seed(10, 100000);
}

export default function () {
  const item = sku(exec.scenario.iterationInTest % 10);
  const order = { channel: 'web', ttl_seconds: 600, lines: [{ sku: item, quantity: 2 }] };
  const key = newKey(exec);
  const first = reserve(key, order);
  const again = reserve(key, order, true);
  check(first, { 'reserved two': (r) => r !== null && r.lines[0].held === 2 });
  check(again, { 'the same key, the same reservation': (r) => r !== null && r.id === first.id });
  const action = exec.scenario.iterationInTest % 2 === 0 ? 'confirm' : 'release';
  const acted = act(first.id, action, newKey(exec));
  const state = action === 'confirm' ? 'committed' : 'released';
  check(acted, { 'acted': (r) => r.status === 200 && JSON.parse(r.body).state === state });
  check(availability(item, 'web'), { 'available': (r) => r.status === 200 });
}

export const handleSummary = summarize;
