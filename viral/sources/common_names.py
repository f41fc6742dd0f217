"""Common names of a post's columns, for files of unknown exporters: lower case, letters and digits alone."""

from __future__ import annotations

_NAMES = {
    "post_id": (
        "postid videoid vidid videopk awemeid itemid mediaid reelid shortid tiktokid id pk videourl posturl "
        "tiktokurl webvideourl pageurl contentid contenturl videolink postlink permalink url link"
    ),
    "author_id": (
        "authorid userid uploaderid ownerid channelid creatorid authoruniqueid authorusername username authorhandle "
        "creatorhandle channelhandle handle author "
        "uploader channel channeltitle creator accountid account owner"
    ),
    "posted_at": (
        "postedat vidposttime createtime createtimeiso publishedat publishtime publisheddate uploaddate postdate "
        "posttime createdat timestamp takenat datepublished dateposted publishdate publicationdate datetime date "
        "videotimestamp"
    ),
    "scraped_at": "scrapedat vidscrapetime scrapetime collectedat retrievedat fetchedat crawledat crawltime",
    "caption": (
        "caption vidcaption videocaption postcaption description desc videodescription text title videotitle body "
        "message"
    ),
    "hashtags": "hashtags vidhashtags videohashtags hashtagnames tags challenges",
    "sound_id": "soundid musicid audioid",
    "sound_title": "soundtitle musictitle musicname soundname audiotitle track",
    "sound_original": "soundoriginal musicoriginal isoriginalsound",
    "duration_seconds": (
        "durationseconds videodurationsec vidduration videoduration duration videolength length runtime"
    ),
    "views": (
        "views nview nviews vidnview numviews totalviews viewcount videoviewcount playcount videoplaycount plays "
        "view viewscount"
    ),
    "likes": (
        "likes nlike nlikes vidnlike numlikes totallikes likecount videolikecount diggcount videodiggcount hearts like "
        "likescount"
    ),
    "comments": (
        "comments ncomment ncomments vidncomment numcomments totalcomments commentcount videocommentcount "
        "commentscount comment replies"
    ),
    "shares": (
        "shares nshare nshares vidnshare numshares totalshares sharecount videosharecount share repostcount sharescount"
    ),
    "saves": "saves nsave nsaves vidnsave savecount collectcount favorites favourites bookmarks savescount",
    "author_followers": (
        "authorfollowers usernfollower userfollowers followers followercount authorfollowercount "
        "channelfollowercount subscribers subscribercount"
    ),
    "page_url": "pageurl webvideourl tiktokurl posturl permalink shareurl vidurl url link videourl",
    "is_ad": "isad isads",
    "paid_partnership": "paidpartnership ispaidpartnership issponsored",
    "made_with_ai": "madewithai isaigc isaigenerated",
    "duet_of": "duetof duetfromid",
    "stitch_of": "stitchof stitchfromid",
    "location": "locationname locationcreated poiname",
    "video_uri": "videouri videofile filename filepath file",
}

COMMON_NAMES = {column: tuple(names.split()) for column, names in _NAMES.items()}
"""Column of a post → common names, the clearest first."""
