# Called at build time: writes ${OUTPUT}, which defines ${SYMBOL}() over the contents of ${FILES}.
# A text is split, at the ends of lines, into literals of at most 8,000 characters, and put together when it is first
# asked for, because compilers may refuse longer ones, and neighbours that make one of more than 65,536.
set(texts "")
set(body "")
set(number 0)
foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    file(READ ${file} text)
    string(LENGTH "${text}" length)
    set(pieces "")
    set(at 0)
    while(at LESS length)
        string(SUBSTRING "${text}" ${at} 8000 piece)
        math(EXPR end "${at} + 8000")
        if(end LESS length)  # at a line's end, or a letter of several bytes could be cut in two
            string(FIND "${piece}" "\n" line REVERSE)
            math(EXPR line "${line} + 1")
            string(SUBSTRING "${piece}" 0 ${line} piece)
            math(EXPR end "${at} + ${line}")
        endif()
        string(APPEND pieces " +\n        R\"zgoda~(${piece})zgoda~\"")
        set(at ${end})
    endwhile()
    string(APPEND texts "    static const std::string text_${number} = std::string()${pieces};\n")
    string(APPEND body "        {\"${name}\", text_${number}},\n")
    math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"${HEADER}\"\n
#include <string>

const std::map<std::string_view, std::string_view>& ${SYMBOL}() {
${texts}    static const std::map<std::string_view, std::string_view> files{
${body}    };
    return files;
}
")
