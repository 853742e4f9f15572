// In mid-run the new backend begins to fail. The rollout must reverse by itself, and
// from then on no new call may reach new: told by X-Backend of every call, by the
// backend's own memory, and by the proxy's status.

import exec from 'k6/execution';
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { ADMIN, SECONDS, arrivals, backendNew, failed, metric, status, wholeCall } from './callers.js';

// Seconds between a caller's webhooks. Calls in progress at the flip finish on new; they are not new calls.
const PAUSE = 0.1;
const FAULT_AT = SECONDS * 0.3; // seconds from the start
const FAULT = __ENV.FAULT || '500';
// The reversal must be over so many seconds after the fault. Where no answer comes,
// a webhook has failed only when the route's timeout (2 s) is over.
const GRACE = FAULT === 'slow' || FAULT === 'hang' ? 5 : 2.5;

const reversed = new Counter('reversals_seen');
const timeToReversal = new Trend('fault_to_reversal_ms');
const newCallsOnNew = new Counter('new_calls_on_new_after_reversal');
const failedAfter = new Counter('webhooks_failed_after_reversal');

// Until the flip, callers on new get the fault: that is the point.
http.setResponseCallback(http.expectedStatuses(200, 500, 502, 503, 504));

export const options = {
  scenarios: {
    callers: arrivals('caller', PAUSE),
    operator: { executor: 'shared-iterations', exec: 'operator', vus: 1, iterations: 1, maxDuration: `${SECONDS + 10}s` },
  },
  thresholds: {
    reversals_seen: ['count==1'],
    fault_to_reversal_ms: [`max<${GRACE * 1000}`],
    new_calls_on_new_after_reversal: ['count==0'],
    webhooks_failed_after_reversal: ['count==0'],
    affinity_breaks: ['count==0'],
    webhooks_failed: ['count>0'], // else the fault never was
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
  },
};

export function setup() {
  reversed.add(0);
  newCallsOnNew.add(0);
  failedAfter.add(0);
}

export function caller() {
  const since = exec.instance.currentTestRunDuration / 1000;
  const { began, broken, metNew } = wholeCall(PAUSE);
  failed.add(broken);
  if (since > FAULT_AT + GRACE + 0.5) {
    newCallsOnNew.add(began === 'new' || metNew ? 1 : 0);
    failedAfter.add(broken);
  }
}

export function operator() {
  sleep(Math.max(0, FAULT_AT - exec.instance.currentTestRunDuration / 1000));
  const before = status();
  check(before, { 'before the fault: not latched': (s) => s.latched === false });
  const faultBegan = Date.now();
  backendNew('POST', '/_fault', { kind: FAULT, share: 1, ms: 3000 });
  while (Date.now() - faultBegan < GRACE * 1000) {
    if (status().phase === 'reversed') {
      reversed.add(1);
      timeToReversal.add(Date.now() - faultBegan);
      break;
    }
    sleep(0.02);
  }
  sleep(0.3); // what had left the proxy before the flip has arrived by now
  backendNew('POST', '/_mark');
  sleep(Math.max(0.5, SECONDS - exec.instance.currentTestRunDuration / 1000));
  const seen = backendNew('GET', '/_seen');
  check(seen, { 'the backend saw no new call after the flip': (s) => s.calls_since_mark === 0 });
}

export function teardown() {
  const now = status();
  check(now, {
    'still reversed at the end': (s) => s.phase === 'reversed' && s.latched === true,
    'the proxy counted no new call on new': (s) => !s.verification || s.verification.new_calls_on_new === 0,
    'it is recorded': (s) => s.durable === true,
  });
  const count = metric('switchback_reversals_total');
  check(count, { 'one reversal in /metrics': (value) => value === 1 });
  const journal = String(http.get(`${ADMIN}/api/v1/journal`, { tags: { name: 'journal' } }).body);
  check(journal, { 'the journal tells the reversal': (text) => text.includes('revers') });
}
