// Our own pages: with JavaScript and without, on a phone and on a desktop, in light and dark, in both languages.
import {after, before, test} from 'node:test';
import assert from 'node:assert/strict';
import {gzipSync} from 'node:zlib';
import {Newsroom, accessible, phone, picture, printed, sleep} from './newsroom.js';

let room;
before(async () => { room = await Newsroom.open(); });
after(() => room.close());

// All that a page made the browser load, in bytes as they came.
async function weight(reader, url) {
    const bodies = [];
    const count = async (response) => bodies.push((await response.body().catch(() => '')).length);
    reader.page.on('response', count);
    await reader.page.goto(url, {waitUntil: 'networkidle'});
    reader.page.off('response', count);
    return bodies.reduce((sum, one) => sum + one, 0);
}

const address = (page) => page.getByLabel('Enter your email to subscribe');
const subscribe = (page) => page.getByRole('button', {name: 'Subscribe'});

test('embed.js is less than 6 KB gzipped', async () => {
    const script = Buffer.from(await fetch(room.url + '/embed.js').then((reply) => reply.arrayBuffer()));
    const size = gzipSync(script, {level: 9}).length;
    assert.ok(size < 6144 && size > 1000, `embed.js has ${size} bytes`);
});

test('every page weighs less than 20 KB with all that it loads', async () => {
    for (const javaScriptEnabled of [true, false]) {
        const reader = await room.reader({javaScriptEnabled});
        for (const path of ['/', '/?locale=uk', '/newsletters/opinion', '/newsletters/opinion/embed', '/newsletters/opinion/embed/sent',
                            '/sent', '/confirm?t=x', '/preferences', '/no-such-page']) {
            const bytes = await weight(reader, room.url + path);
            assert.ok(bytes < 20_000 && bytes > 1_000, `${path} weighs ${bytes} bytes`);
        }
        await reader.done();
    }
});

test('the pages to sign up are calm on every screen, in both languages', async () => {
    const {page, done} = await room.reader();
    for (const [path, name] of [['/', 'page-all'], ['/?locale=uk', 'page-all-uk'], ['/newsletters/explaining-ukraine', 'page-one'],
                                ['/newsletters/explaining-ukraine?locale=uk', 'page-one-uk'], ['/sent', 'page-sent'],
                                ['/newsletters/opinion/embed', 'page-embed'], ['/newsletters/opinion/embed/sent', 'page-embed-sent'],
                                ['/no-such-page', 'page-not-found'], ['/confirm?t=x', 'page-unknown-link'], ['/preferences', 'page-preferences-ask']]) {
        await page.goto(room.url + path);
        assert.equal(await page.locator('html').getAttribute('lang'), name.endsWith('-uk') ? 'uk' : 'en');
        assert.equal(await page.locator('html').getAttribute('dir'), 'ltr');
        await picture(page, name);
        await page.setViewportSize({width: 320, height: 640});
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 320, `${path} fits 320 px`);
    }
    await page.goto(room.url + '/');
    await printed(page, 'page-all');
    await done();
});

test('our own form works in place, as the embedded one does', async () => {
    const {page, done} = await room.reader({viewport: phone});
    await page.goto(room.url + '/');
    await address(page).focus();
    await page.waitForLoadState('networkidle');
    await address(page).fill('own@example.org');
    await subscribe(page).click();
    await page.getByRole('alert').getByText('Please, tick at least one newsletter.').waitFor();
    await page.getByRole('checkbox', {name: 'War Notes'}).check();
    await page.getByRole('checkbox', {name: 'Opinion'}).check();
    await address(page).fill('own@');
    await subscribe(page).click();
    await page.getByRole('alert').getByText('Please, enter correct email address').waitFor();
    await picture(page, 'page-all-wrong-address');
    await address(page).fill('own@example.org');
    await subscribe(page).click();
    await page.getByText('Thank you for signing up').waitFor();
    assert.equal(new URL(page.url()).pathname, '/', 'nobody had to leave the page');
    await picture(page, 'page-all-sent');
    await page.getByLabel('Code from the letter').fill(room.letter('own@example.org').code);
    await page.getByRole('button', {name: 'Confirm'}).click();
    await page.getByText('Successfully subscribed').waitFor();
    assert.equal(room.status('own@example.org', 'opinion'), 'confirmed');
    assert.equal(room.status('own@example.org', 'war-notes'), 'confirmed');
    await done();
});

for (const javaScriptEnabled of [false, true]) test(`without ${javaScriptEnabled ? 'our script' : 'JavaScript'} a wrong address ` +
        'stands beside the field, and a right one ends on the page of thanks', async () => {
    const {page, done} = await room.reader({javaScriptEnabled});
    await page.route('**/zgoda.js', (route) => route.abort());
    await page.goto(room.url + '/newsletters/opinion');
    await address(page).fill('still@');
    await subscribe(page).click();
    await page.getByRole('alert').getByText('Please, enter correct email address').waitFor();
    assert.equal(await address(page).getAttribute('aria-invalid'), 'true');
    assert.equal(await address(page).inputValue(), 'still@');
    if (javaScriptEnabled) await picture(page, 'page-one-wrong-address');  // axe needs timers
    await address(page).fill('still@gmail..com');
    await subscribe(page).click();
    await page.getByRole('alert').getByText('Did you mean still@gmail.com?').waitFor();
    if (javaScriptEnabled) await picture(page, 'page-one-suggestion');
    await subscribe(page).click();  // without typing anything
    await page.getByText('Thank you for signing up').waitFor();
    assert.equal(new URL(page.url()).pathname, '/newsletters/opinion/sent');
    assert.equal(room.status('still@gmail.com', 'opinion'), 'pending');
    await done();
});

test('the form in a frame ends in its frame, with JavaScript and without', async () => {
    for (const javaScriptEnabled of [true, false]) {
        const {page, done} = await room.reader({javaScriptEnabled});
        await page.goto(room.article('framed', `<iframe src="${room.url}/newsletters/opinion/embed" title="Opinion" height="400"></iframe>`));
        const frame = page.frameLocator('iframe');
        await address(frame).fill('framed@');
        if (javaScriptEnabled) await sleep(500);  // its script comes when it is touched
        await subscribe(frame).click();
        await frame.getByRole('alert').getByText('Please, enter correct email address').waitFor();
        await address(frame).fill(`framed-${javaScriptEnabled}@example.org`);
        await subscribe(frame).click();
        await frame.getByText('Thank you for signing up').waitFor();
        const inside = new URL(page.frames()[1].url()).pathname;
        assert.equal(inside, javaScriptEnabled ? '/newsletters/opinion/embed' : '/newsletters/opinion/embed/sent');
        assert.equal(room.status(`framed-${javaScriptEnabled}@example.org`, 'opinion'), 'pending');
        if (javaScriptEnabled) await accessible(page, 'an article with a frame');
        await done();
    }
});

test('a form in a frame is told in the frame that there were too many', async () => {
    const strict = await Newsroom.open({limits_per_ip: '1/1h'});
    try {
        const {page, done} = await strict.reader({javaScriptEnabled: false});
        await page.goto(strict.article('often', `<iframe src="${strict.url}/newsletters/opinion/embed" title="Opinion" height="600"></iframe>`));
        const frame = page.frameLocator('iframe');
        await address(frame).fill('first@');
        await subscribe(frame).click();
        await frame.getByRole('alert').waitFor();
        await address(frame).fill('second@example.org');
        await subscribe(frame).click();
        await frame.getByText('Too many requests from your network.').waitFor();
        await frame.getByRole('link', {name: 'Back to the form'}).click();
        await subscribe(frame).waitFor();
        await done();
    } finally {
        await strict.close();
    }
});

test('no other page of ours can be framed', async () => {
    const {page, trouble, done} = await room.reader();
    for (const path of ['/', '/newsletters/opinion', '/confirm?t=x', '/preferences', '/sent']) {
        trouble.length = 0;
        await page.goto(room.article('frame', `<iframe src="${room.url}${path}" title="x"></iframe>`));
        await sleep(300);
        assert.ok(trouble.some((one) => /X-Frame-Options|frame-ancestors/.test(one)), path);
    }
    trouble.length = 0;
    await done();
});
