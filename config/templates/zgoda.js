// On our own pages. A form gets the script that makes it work in place once it is touched, and a secret: this browser
// keeps 128 random bits, their hash goes with the signup, and by them the page of the letter's link knows its reader again
// and asks nothing more. Without it, or without scripts, all works by buttons.
(() => {
    const life = 72 * 3600e3;
    const framed = parent != window;

    // A page in a frame says how high it is; embed.js on the page around it makes room.
    if (framed) {
        const root = document.documentElement;
        const tell = () => parent.postMessage({zgoda: Math.ceil(root.getBoundingClientRect().height)}, '*');
        tell();
        new ResizeObserver(tell).observe(root);  // rests while the frame is out of sight
        addEventListener('message', ({source}) => source == parent && tell());
    }

    const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
    const hidden = (form, name, value) => {
        const field = document.createElement('input');
        field.type = 'hidden';
        field.name = name;
        field.value = value;
        form.append(field);
    };
    let kept = null;
    try {
        kept = JSON.parse(localStorage.getItem('zgoda'));
    } catch { /* nothing may be kept here */ }
    if (!(kept && /^[0-9a-f]{32}$/.test(kept.secret) && Date.now() - kept.at < life)) kept = null;

    const signup = document.querySelector('form[data-zgoda]');
    signup?.addEventListener('focusin', async () => {
        const script = document.createElement('script');
        script.src = '/embed.js';
        document.head.append(script);
        if (framed || !crypto.subtle) return;
        const secret = kept?.secret || hex(crypto.getRandomValues(new Uint8Array(16)));
        hidden(signup, 'browser', hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(secret))));
        signup.addEventListener('submit', () => {
            try {
                localStorage.setItem('zgoda', JSON.stringify({secret, at: Date.now()}));
            } catch { /* then the button is pressed by hand */ }
        });
    }, {once: true});

    // Only in a page that somebody looks at: browsers open links ahead, too.
    const confirm = document.querySelector('form[data-confirm]');
    const press = () => {
        if (document.prerendering || document.hidden || confirm.matches('[data-pressed]')) return;
        confirm.dataset.pressed = '';
        hidden(confirm, 'browser', kept.secret);
        confirm.submit();
    };
    if (confirm && kept && !('asked' in confirm.dataset)) {
        press();
        document.addEventListener('visibilitychange', press);
        document.addEventListener('prerenderingchange', press);
    }
})();
