// The whole way of a reader, from the form to the confirmation and out again; and machines that follow links before her.
import {after, before, test} from 'node:test';
import assert from 'node:assert/strict';
import {Newsroom, picture, phone, printed, sleep} from './newsroom.js';

let room;
before(async () => { room = await Newsroom.open(); });
after(() => room.close());

const words = {
    en: {email: 'Enter your email to subscribe', subscribe: 'Subscribe', thanks: 'Thank you for signing up', code: 'Code from the letter',
         confirm: 'Confirm', done: 'Successfully subscribed', yes: 'Yes, subscribe me', subscribed: 'You are subscribed', again: 'already confirmed'},
    uk: {email: 'Введіть свою електронну адресу, щоб підписатися', subscribe: 'Підписатися', thanks: 'Дякуємо, що підписалися', code: 'Код із листа',
         confirm: 'Підтвердити', done: 'Підписку оформлено', yes: 'Так, підписати мене', subscribed: 'Підписку оформлено', again: 'вже підтверджено'},
};
const human = 5500;  // a letter needs some seconds to be found, opened and read

// Presses a button of our pages as a person does: she has read it for a second, at least.
async function press(page, name) {
    await sleep(1100);
    await page.getByRole('button', {name}).click();
}

// Signs up on an article of another origin, and gives the letter.
async function signUp(page, address, locale = 'en') {
    const said = words[locale];
    await page.goto(room.article('article', `<div data-zgoda="explaining-ukraine" data-locale="${locale}"></div>`));
    await page.getByLabel(said.email).fill(address);
    await page.getByRole('button', {name: said.subscribe}).click();
    await page.getByText(said.thanks).waitFor();
    return room.letter(address);
}

function unsubscribeLink(address) {
    const rows = room.run('export', '--links', '--status', 'all', '--format', 'ndjson').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    return rows.find((row) => row.email == address).unsubscribe_url;
}

for (const locale of ['en', 'uk']) {
    const said = words[locale];

    test(`from the form to confirmed by the link of the letter, in ${locale}`, async () => {
        const address = `link-${locale}@example.org`;
        const {page, done} = await room.reader({viewport: phone});
        const letter = await signUp(page, address, locale);
        await sleep(human);
        await page.goto(letter.link('confirm'));
        assert.equal(await page.locator('html').getAttribute('lang'), locale);
        await picture(page, `page-confirm-${locale}`);
        assert.equal(room.status(address, 'explaining-ukraine'), 'pending', 'looking changes nothing');
        await press(page, said.yes);
        await page.getByRole('heading', {name: said.subscribed}).waitFor();
        await picture(page, `page-confirmed-${locale}`);
        assert.equal(room.status(address, 'explaining-ukraine'), 'confirmed');
        await page.goto(letter.link('confirm'));
        await page.getByText(said.again).waitFor();
        await picture(page, `page-confirmed-again-${locale}`);
        await done();
    });

    test(`from the form to confirmed by the code of the letter, in ${locale}`, async () => {
        const address = `code-${locale}@example.org`;
        const {page, done} = await room.reader();
        const letter = await signUp(page, address, locale);
        assert.match(letter.text, new RegExp(`^${letter.code}$`, 'm'));
        await page.getByLabel(said.code).fill(letter.code);
        await page.getByRole('button', {name: said.confirm}).click();
        await page.getByText(said.done).waitFor();
        assert.equal(room.status(address, 'explaining-ukraine'), 'confirmed');
        await done();
    });

    test(`the letters read well in a narrow pane and in the dark, in ${locale}`, async () => {
        const {page, done} = await room.reader({viewport: phone});
        const letter = await signUp(page, `letter-${locale}@example.org`, locale);
        await page.goto('about:blank');
        await page.setContent(letter.html);
        await picture(page, `letter-confirmation-${locale}`);
        await done();
    });
}

test('without JavaScript the way is the same, by the button', async () => {
    const {page, done} = await room.reader({javaScriptEnabled: false});
    await page.goto(room.url + '/newsletters/opinion');
    await page.getByLabel(words.en.email).fill('still@example.org');
    await page.getByRole('button', {name: 'Subscribe'}).click();
    await page.getByText(words.en.thanks).waitFor();
    const letter = room.letter('still@example.org');
    await sleep(human);
    await page.goto(letter.link('confirm'));
    await press(page, words.en.yes);
    await page.getByRole('heading', {name: words.en.subscribed}).waitFor();
    assert.equal(room.status('still@example.org', 'opinion'), 'confirmed');
    await done();
});

test('the browser that signed up on our page is asked nothing more; another one is', async () => {
    const own = await room.reader(), other = await room.reader();
    await own.page.goto(room.url + '/newsletters/opinion');
    await own.page.getByLabel(words.en.email).focus();
    await own.page.waitForLoadState('networkidle');
    await own.page.getByLabel(words.en.email).fill('own@example.org');
    await own.page.getByRole('button', {name: 'Subscribe'}).click();
    await own.page.getByText(words.en.thanks).waitFor();
    const letter = room.letter('own@example.org');

    await other.page.goto(letter.link('confirm'));
    await sleep(1500);
    assert.equal(await other.page.getByRole('button', {name: words.en.yes}).count(), 1);
    assert.equal(room.status('own@example.org', 'opinion'), 'pending');
    await own.page.goto(letter.link('confirm'));
    await own.page.getByRole('heading', {name: words.en.subscribed}).waitFor();
    assert.equal(room.status('own@example.org', 'opinion'), 'confirmed');

    // The secret of one signup says nothing about another's: somebody else's letter is asked about, once.
    const stranger = await signUp(other.page, 'stranger@example.org');
    await own.page.goto(stranger.link('confirm'));
    await own.page.locator('form[data-asked]').waitFor();
    await sleep(1000);
    assert.equal(own.requests.filter((one) => one.method() == 'POST' && one.url() == stranger.link('confirm')).length, 1);
    assert.equal(room.status('stranger@example.org', 'explaining-ukraine'), 'pending');
    await own.done();
    await other.done();
});

// What scanners of mail are known to do with every link that they find.
async function scan(link) {
    const headers = {'X-Forwarded-For': '203.0.113.9'};
    for (const method of ['HEAD', 'GET', 'OPTIONS']) await fetch(link, {method, headers}).then((reply) => reply.text());
    const page = await fetch(link, {headers}).then((reply) => reply.text());
    const nonce = page.match(/name="nonce" value="([^"]+)"/)?.[1] || '';
    const boxes = [...page.matchAll(/name="newsletter" value="([^"]+)"/g)].map((match) => match[1]);
    const body = new URLSearchParams([['nonce', nonce], ...boxes.map((slug) => ['newsletter', slug])]);
    await fetch(link, {method: 'POST', headers, body}).then((reply) => reply.text());

    // In Chromium, from another address, with JavaScript, pressing the button of every page as it comes.
    const robot = await room.reader({network: '203.0.113.9'});
    await robot.context.addInitScript(() => {
        const waiting = setInterval(() => {
            const button = document.querySelector('button');
            if (!button) return;
            clearInterval(waiting);
            const pressed = Number(sessionStorage.pressed || 0);
            sessionStorage.pressed = pressed + 1;
            if (pressed < 3) button.click();
        }, 5);
    });
    await robot.page.goto(link).catch(() => {});  // left before it was complete
    await robot.page.waitForFunction(() => sessionStorage.pressed >= 4 ||
        document.readyState == 'complete' && !document.querySelector('button'));
    for (const href of await robot.page.locator('a').evaluateAll((all) => all.map((one) => one.href)))
        if (href.startsWith(room.url)) await robot.page.goto(href);
    await robot.context.close();
}

test('a scanner confirms nobody; a person does, at most asked once more', async () => {
    const {page, done} = await room.reader();
    const letter = await signUp(page, 'scanned@example.org');
    await Promise.all(['confirm', 'not-me'].map((name) => scan(letter.link(name))));
    assert.equal(room.status('scanned@example.org', 'explaining-ukraine'), 'pending');
    await sleep(human);
    await page.goto(letter.link('confirm'));
    await press(page, words.en.yes);
    await page.getByRole('heading', {name: words.en.subscribed}).or(page.getByRole('alert')).waitFor();
    if (await page.getByRole('alert').count()) {  // on a slow machine the scanner looks patient
        await press(page, words.en.yes);
    }
    await page.getByRole('heading', {name: words.en.subscribed}).waitFor();
    assert.equal(room.status('scanned@example.org', 'explaining-ukraine'), 'confirmed');
    await done();
});

test('a scanner that has learnt to wait a second is asked once more, as the reader is for a while', async () => {
    const {page, done} = await room.reader(), robot = await room.reader({network: '203.0.113.10'});
    const letter = await signUp(page, 'patient@example.org');
    await robot.page.goto(letter.link('confirm'));
    await press(robot.page, words.en.yes);
    await robot.page.getByRole('alert').waitFor();
    await robot.done();
    assert.equal(room.status('patient@example.org', 'explaining-ukraine'), 'pending');
    await sleep(human);
    await page.goto(letter.link('confirm'));
    await press(page, words.en.yes);
    await page.getByRole('alert').waitFor();
    await picture(page, 'page-confirm-once-more');
    await press(page, words.en.yes);
    await page.getByRole('heading', {name: words.en.subscribed}).waitFor();
    assert.equal(room.status('patient@example.org', 'explaining-ukraine'), 'confirmed');
    await done();
});

test('a scanner unsubscribes nobody; the reader leaves by one button, and may take it back', async () => {
    const {page, done} = await room.reader();
    const {code} = await signUp(page, 'leaver@example.org');
    await page.getByLabel(words.en.code).fill(code);
    await page.getByRole('button', {name: 'Confirm'}).click();
    await page.getByText(words.en.done).waitFor();
    const link = unsubscribeLink('leaver@example.org');
    await scan(link);
    assert.equal(room.status('leaver@example.org', 'explaining-ukraine'), 'confirmed');
    await page.goto(link);
    await picture(page, 'page-unsubscribe');
    await press(page, 'Unsubscribe');
    await page.getByRole('heading', {name: /^You have left/}).waitFor();
    await picture(page, 'page-left');
    assert.equal(room.status('leaver@example.org', 'explaining-ukraine'), 'unsubscribed');
    await press(page, 'Take it back');
    await page.waitForLoadState('networkidle');
    await picture(page, 'page-left-undone');
    assert.equal(room.status('leaver@example.org', 'explaining-ukraine'), 'confirmed');
    await done();
});

test('"this was not me" is a page and a button', async () => {
    const {page, done} = await room.reader();
    const letter = await signUp(page, 'notme@example.org');
    await page.goto(letter.link('not-me'));
    await picture(page, 'page-not-me');
    await press(page, 'This was not me');
    await page.getByRole('heading', {name: 'Thank you for telling us'}).waitFor();
    await picture(page, 'page-not-me-done');
    await page.goto(letter.link('confirm'));
    await picture(page, 'page-declined');
    assert.notEqual(room.status('notme@example.org', 'explaining-ukraine'), 'confirmed');
    await done();
});

test('the preferences are a page that any reader can use', async () => {
    const {page, done} = await room.reader();
    const {code} = await signUp(page, 'settled@example.org');
    await page.getByLabel(words.en.code).fill(code);
    await page.getByRole('button', {name: 'Confirm'}).click();
    await page.getByText(words.en.done).waitFor();
    await page.goto(room.url + '/preferences');
    await page.getByRole('textbox').fill('settled@example.org');
    await page.getByRole('button').click();
    await page.waitForURL('**/preferences/sent*');
    await picture(page, 'page-preferences-sent');
    const letter = room.letter('settled@example.org');
    await page.goto(letter.link('preferences'));
    await picture(page, 'page-preferences');
    assert.deepEqual(await printed(page, 'page-preferences'), ['You receive', 'You could also receive']);
    await page.getByRole('checkbox', {name: 'Opinion'}).check();
    await press(page, 'Save');
    await page.getByRole('status').waitFor();
    assert.equal(room.status('settled@example.org', 'opinion'), 'confirmed');
    await page.locator('summary').click();
    await picture(page, 'page-preferences-saved');
    await page.goto('about:blank');
    await page.setContent(letter.html);
    await picture(page, 'letter-preference-link');
    await done();
});

test('what was asked for from elsewhere, what goes on coming, and what she has left is said', async () => {
    const {page, done} = await room.reader();
    const {code} = await signUp(page, 'known@example.org');
    await page.getByLabel(words.en.code).fill(code);
    await page.getByRole('button', {name: 'Confirm'}).click();
    await page.getByText(words.en.done).waitFor();
    const ask = (newsletters, network) => fetch(room.url + '/v1/subscriptions', {
        method: 'POST', headers: {'Content-Type': 'application/json', 'X-Forwarded-For': network},
        body: JSON.stringify({email: 'known@example.org', newsletters}),
    });
    await ask(['opinion'], '203.0.113.20');
    const letter = room.letter('known@example.org');
    await ask(['war-notes', 'inside-kyiv'], '198.51.100.20');
    await page.goto(letter.link('confirm'));
    const others = page.getByRole('group', {name: 'Also asked for'});
    await others.getByRole('checkbox', {name: 'War Notes'}).waitFor();
    assert.equal(await page.getByRole('checkbox', {checked: true}).count(), 1);
    await picture(page, 'page-confirm-others');
    await page.goto(letter.link('not-me'));
    await page.getByText('go on coming').waitFor();
    await picture(page, 'page-not-me-known');
    await sleep(human);
    await page.goto(letter.link('confirm'));
    await press(page, words.en.yes);
    await page.getByRole('heading', {name: words.en.subscribed}).waitFor();
    await page.goto(letter.link('unsubscribe') || unsubscribeLink('known@example.org'));
    await page.getByRole('checkbox').check();
    await press(page, 'Unsubscribe');
    await page.getByRole('heading', {name: /^You have left/}).waitFor();
    await page.goto(letter.link('confirm'));
    await page.getByRole('heading', {name: 'You have left'}).waitFor();
    await picture(page, 'page-has-left');
    await page.getByRole('link', {name: 'Sign up again'}).click();
    assert.equal(new URL(page.url()).pathname, '/newsletters/opinion');
    await done();
});

test('a form does not end a pause; the button of the letter that it causes does', async () => {
    const {page, done} = await room.reader();
    const {code} = await signUp(page, 'paused@example.org');
    await page.getByLabel(words.en.code).fill(code);
    await page.getByRole('button', {name: 'Confirm'}).click();
    await page.getByText(words.en.done).waitFor();
    await fetch(room.url + '/v1/preference-links', {method: 'POST', headers: {'Content-Type': 'application/json'},
                                                   body: '{"email":"paused@example.org"}'});
    await page.goto(room.letter('paused@example.org').link('preferences'));
    await page.getByLabel('Explaining Ukraine').selectOption('pause_4');
    await press(page, 'Save');
    await page.getByRole('status').waitFor();
    await sleep(1100);  // so that its letter is the newest
    const letter = await signUp(page, 'paused@example.org');
    assert.equal(room.status('paused@example.org', 'explaining-ukraine'), 'paused');
    assert.match(letter.text, /Paused until \d/);
    await sleep(human);
    await page.goto(letter.link('confirm'));
    await page.getByText(/Paused until \d/).waitFor();
    await picture(page, 'page-resume');
    await press(page, 'Receive it again now');
    await page.getByRole('heading', {name: words.en.subscribed}).waitFor();
    assert.equal(room.status('paused@example.org', 'explaining-ukraine'), 'confirmed');
    await page.goto('about:blank');
    await page.setContent(letter.html);
    await picture(page, 'letter-already-subscribed-paused');
    await done();
});
