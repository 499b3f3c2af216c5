// Nervous clients: every order is sent several times at once, with one key. It counts once.
import exec from 'k6/execution';
import http from 'k6/http';
import {
  BASE, accepted, failed, newKey, refused, replayed, seed, sku, summarize, trendStats,
} from './lib.js';

const RATE = Number(__ENV.RATE || 300);
const SECONDS = Number(__ENV.SECONDS || 15);
const COPIES = Number(__ENV.COPIES || 5);

export const options = {
  scenarios: {
    storm: {
      executor: 'constant-arrival-rate', rate: RATE, duration: `${SECONDS}s`,
      preAllocatedVUs: 300, maxVUs: 600,
    },
  },
  batchPerHost: COPIES,
  thresholds: {
    dropped_iterations: ['count==0'],
    http_req_failed: ['rate==0'],
    reserve_failed: ['count==0'],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  // Runs out halfway, so that refusals are repeated as well.
  seed(10, Math.floor((RATE * SECONDS) / 20));
}

export default function () {
  const body = JSON.stringify({
    channel: 'web', ttl_seconds: 600,
    lines: [{ sku: sku(exec.scenario.iterationInTest % 10), quantity: 1 }],
  });
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': newKey(exec) };
  const copy = ['POST', `${BASE}/v1/reservations`, body, { headers, tags: { name: 'reserve' } }];
  const answers = http.batch(Array(COPIES).fill(copy));
  const kinds = new Set(answers.map((r) => (r.status === 201 ? JSON.parse(r.body).id : r.status)));
  if (kinds.size !== 1) {
    failed.add(1);
    exec.test.abort(`one key, answers ${Array.from(kinds)}`);
  }
  if (answers[0].status === 201) {
    accepted.add(1);
    replayed.add(COPIES - 1);
  } else if (answers[0].status === 409) {
    refused.add(1);
  } else {
    failed.add(1);
  }
}

export const handleSummary = summarize;
