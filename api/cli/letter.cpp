#include "mailer/letter.h"

#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/output.h"
#include "api/cli/sending.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/story.h"

namespace zgoda::cli {

Exit letter_preview(const LetterPreview& options, const config::Settings& settings,
                    const service::Rules& rules, service::Store& store) {
    auto loaded = letter_templates(settings, rules.texts);
    if (const auto* problem = std::get_if<config::Problem>(&loaded))
        return fail(Exit::usage, problem->sentence);
    const auto& templates = std::get<mailer::Templates>(loaded);

    std::shared_ptr<const service::Newsletters> newsletters;
    service::look(store, [&](service::Reader& reader) { newsletters = reader.newsletters(); });
    const service::Newsletter* newsletter = newsletters->find(options.slug);
    if (newsletter == nullptr) {
        return fail(Exit::not_found,
                    fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all",
                                service::printable(options.slug)));
    }

    const service::TimeMs now = clock_now();
    service::LeasedLetter
        sample;  // as the outbox would hand it out, for nobody, with links that lead nowhere
    sample.letter.kind = options.kind;
    sample.letter.locale = rules.texts.choose(options.locale, "", newsletter->locale());
    sample.letter.created_at = now;
    sample.letter.expires_at = now + rules.link_life;
    sample.letter.message_id = "preview@" + rules.message_id_domain;
    sample.person.address = sample.person.envelope = "reader@example.org";
    sample.newsletters.push_back(
        {newsletter->id, newsletter->slug, newsletter->name(sample.letter.locale), "v1.sample"});
    sample.from = newsletter->setting("from");
    sample.reply_to = newsletter->setting("reply_to");
    sample.asked_at = now;
    sample.confirm_token = "v1.sample";

    const mailer::Stationery stationery = stationery_of(settings);
    Output output(options.output);
    try {
        output.write(mailer::build_message(
            mailer::LetterRenderer(templates, rules.texts, stationery).render(sample, now)));
    } catch (const std::invalid_argument& why) {
        return fail(Exit::failed, fmt::format("this letter could not be sent: {}", why.what()));
    }
    output.finish();
    return output.problem() ? fail(Exit::failed, *output.problem()) : Exit::done;
}

}  // namespace zgoda::cli
