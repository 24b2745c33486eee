-- macro.answer_status: what an answer code says about the answer: 8 is don't know, 9 refused in every question of
-- both surveys (`missingCodes` of the delivery contracts; a test holds the two against each other)
-- reads: none
-- params: none
create or replace temporary macro answer_status(answer) as
case
    when answer is null then 'not_asked'
    when answer in ('8', '98') then 'dont_know'
    when answer in ('9', '99') then 'refused'
    else 'answered'
end
